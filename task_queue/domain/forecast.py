"""What will run in which order and when, if each task succeeds and takes as long as estimated. Pure.

It plays the workers: each source takes its next task by the code that its worker uses, as soon as one of the shared
places is free. Sources that could start at the same moment take turns, in the order of the configuration.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from task_queue.domain.document.backlog import Backlog
from task_queue.domain.document.naming import unnumbered
from task_queue.domain.document.ordering import DependencyFailed, OnHold, Ready, Waiting
from task_queue.domain.holds import Hold, Holds, any_of
from task_queue.domain.local_time import next_midnight
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.together import Caps, Neighbour, TogetherHold, Workplace

HORIZON = timedelta(days=60)
"""What starts later is not foreseen."""


@dataclass(frozen=True, slots=True)
class Outlay:
    """How long a task is expected to take, and what to cost."""

    takes: timedelta
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceOutlook:
    """One source as it is now."""

    id: str
    waiting: Iterable[Waiting]
    running: Mapping[TaskId, datetime] = field(default_factory=dict[TaskId, datetime])
    """What runs, and when it is expected to end."""
    outlay_of: Callable[[Waiting], Outlay] = lambda _: Outlay(timedelta())
    failing: tuple[TaskId, ...] = ()
    """Documents that the daemon ends first of all: rejected and cancelled ones."""
    slots: int = 1
    """How many of its tasks run at the same time; more than one only where workers take them."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One task that will be started, or ended unstarted because a dependency failed."""

    task: Waiting
    source: str
    starts: datetime
    ends: datetime
    usd: float = 0.0
    is_doomed: bool = False


StateIn = Callable[[str, TaskId], TaskState | None]
"""The state of a task in one source, None if that does not know it."""
HoldsAt = Callable[[str, datetime, Mapping[str, float]], Holds]
"""What keeps tasks of a source from starting at a time, when so much was spent by each source on that day besides."""
OpensAt = Callable[[str, datetime], "datetime | None"]
"""When the hours of a source begin; None if they do not keep it from starting at that time."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What keeps tasks of different sources from running, or from starting, at the same time."""

    caps: Caps = field(default_factory=Caps)
    start_gap: timedelta | None = None
    place_of: Callable[[str, Waiting], Workplace] | None = None
    """Where a task of a source works; None: it does not matter."""
    neighbours: Mapping[str, Iterable[Neighbour]] = field(default_factory=dict[str, Iterable[Neighbour]])
    """What runs now, by source."""


@dataclass(slots=True)
class _Seat:
    """A source while it is played."""

    outlook: SourceOutlook
    backlog: Backlog
    running: set[TaskId]
    neighbours: dict[TaskId, Neighbour]
    """Of what runs there, what matters to others."""


class Forecast:
    """``tasks`` in the order in which they will start; what is not among them waits for something unforeseen."""

    def __init__(
        self,
        sources: Iterable[SourceOutlook],
        *,
        now: datetime,
        places: int,
        state_in: StateIn,
        holds_at: HoldsAt,
        opens_at: OpensAt = lambda _source, _now: None,
        side_by_side: SideBySide | None = None,
    ) -> None:
        """*sources* are all, in the order of the configuration."""
        self.tasks: list[Foreseen] = []
        self.empty_at: dict[str, datetime] = {}
        """By source, when all of what is foreseen has ended; without those in which nothing is."""
        self._together = side_by_side or SideBySide()
        self._seats = [
            _Seat(
                source,
                Backlog(source.waiting),
                set(source.running),
                {
                    each.task_id: each
                    for each in self._together.neighbours.get(source.id, ())
                    if each.task_id in source.running
                },
            )
            for source in sources
        ]
        self._lively = [n for n, seat in enumerate(self._seats) if seat.running or len(seat.backlog)]
        """Of very many sources, most have nothing to do."""
        self._last_start: datetime | None = None
        self._now = self._began = now
        self._places = places
        self._state_in = state_in
        self._holds_at = holds_at
        self._opens_at = opens_at
        self._states: dict[tuple[int, TaskId], TaskState | None] = {
            (number, task_id): TaskState.FAILED
            for number, seat in enumerate(self._seats)
            for task_id in seat.outlook.failing
        }
        """What is known of tasks by source and name, as it was found on disk or has been played since."""
        self._agenda: list[tuple[datetime, int, int, TaskId | None]] = []
        """What happens when, in which source: the end of a task, or (None) the end of a wait."""
        self._entered = 0
        self._looks: set[tuple[datetime, int]] = set()
        self._spent: dict[str, float] = {}
        self._day = next_midnight(now)
        for number, seat in enumerate(self._seats):
            for task_id, ends in seat.outlook.running.items():
                self._enter(max(ends, now), number, task_id)
                self._note_end(seat, max(ends, now))
        self._play()

    def _play(self) -> None:
        turn = 0
        while True:
            self._end_due()
            started = False
            for number in sorted(self._lively, key=lambda number: number < turn):
                if self._start_in(number):
                    turn, started = number + 1, True
                    break
            if started:
                continue
            if not self._agenda or self._agenda[0][0] > self._began + HORIZON:
                return
            self._now = max(self._now, self._agenda[0][0])

    def _end_due(self) -> None:
        while self._agenda and self._agenda[0][0] <= self._now:
            at, _, number, task_id = heapq.heappop(self._agenda)
            if task_id is None:
                self._looks.discard((at, number))
            else:
                self._seats[number].running.discard(task_id)
                self._seats[number].neighbours.pop(task_id, None)
                self._end(number, task_id, TaskState.COMPLETED)

    def _end(self, number: int, task_id: TaskId, state: TaskState) -> None:
        self._states[number, unnumbered(task_id)] = state
        for each in self._lively:
            self._seats[each].backlog.moved(task_id)

    def _start_in(self, number: int) -> bool:
        """Start the next task of the source, or end one that is doomed; False if there is none at the moment."""
        seat = self._seats[number]
        if len(seat.running) >= seat.outlook.slots or not len(seat.backlog):
            return False
        source = seat.outlook.id
        opens = self._opens_at(source, self._now)
        if opens is not None and opens > self._now:
            self._look_again(opens, number)
        holds = self._holds_at(source, self._now, self._spent_today())
        screen = any_of(holds.agents, self._held_by_neighbours(seat))
        found = seat.backlog.next(now=self._now, state_of=self._state, screen=screen)
        match found:
            case DependencyFailed(task=task):
                seat.backlog.discard(task.id)
                self._end(number, task.id, TaskState.FAILED)
                self.tasks.append(Foreseen(task, source, self._now, self._now, is_doomed=True))
                return True
            case Ready(task=task) if holds.everything is None:
                if sum(len(self._seats[each].running) for each in self._lively) >= self._places:
                    return False
                gap_ends = self._gap_ends()
                if gap_ends is not None:
                    self._look_again(gap_ends, number)
                    return False
                self._start(number, task)
                return True
            case OnHold() if screen is not None:
                for head in seat.backlog.heads():
                    held = screen.on(head)
                    if held is not None and held.until is not None and not held.needs_person:
                        self._look_again(held.until, number)
            case _:
                pass
        due = seat.backlog.next_due(self._now)
        if due is not None:
            self._look_again(due, number)
        return False

    def _held_by_neighbours(self, seat: _Seat) -> Hold | None:
        """The end of a neighbour is an event by itself, so nothing has to be entered for it."""
        caps, place_of = self._together.caps, self._together.place_of
        others = tuple(each for other in self._seats for each in other.neighbours.values())
        if place_of is None or not (caps != Caps() or any(each.at.touches for each in others)):
            return None
        return TogetherHold(others, caps, partial(place_of, seat.outlook.id)) if others else None

    def _gap_ends(self) -> datetime | None:
        """When the next task may start, None if it may now."""
        if self._together.start_gap is None or self._last_start is None:
            return None
        ends = self._last_start + self._together.start_gap
        return ends if ends > self._now else None

    def _start(self, number: int, task: Waiting) -> None:
        seat = self._seats[number]
        outlay = seat.outlook.outlay_of(task)
        ends = self._now + outlay.takes
        seat.backlog.discard(task.id)
        seat.running.add(task.id)
        self._last_start = self._now
        source = seat.outlook.id
        place_of = self._together.place_of
        if place_of is not None:
            seat.neighbours[task.id] = Neighbour(source, task.id, place_of(source, task))
        self._spent[source] = self._spent.get(source, 0.0) + outlay.usd
        self.tasks.append(Foreseen(task, source, self._now, ends, outlay.usd))
        self._enter(ends, number, task.id)
        self._note_end(seat, ends)

    def _note_end(self, seat: _Seat, ends: datetime) -> None:
        source = seat.outlook.id
        self.empty_at[source] = max(ends, self.empty_at.get(source, ends))

    def _state(self, task_id: TaskId) -> TaskState | None:
        """As every worker sees it: in the first source that knows it."""
        for number, seat in enumerate(self._seats):
            key = number, task_id
            if key not in self._states:
                self._states[key] = self._state_in(seat.outlook.id, task_id)
            if (state := self._states[key]) is not None:
                return state
        return None

    def _spent_today(self) -> Mapping[str, float]:
        if self._now >= self._day:
            self._day = next_midnight(self._now)
            self._spent = {}
        return self._spent

    def _look_again(self, at: datetime, number: int) -> None:
        if at > self._now and (at, number) not in self._looks:
            self._looks.add((at, number))
            self._enter(at, number, None)

    def _enter(self, at: datetime, number: int, task_id: TaskId | None) -> None:
        self._entered += 1
        heapq.heappush(self._agenda, (at, self._entered, number, task_id))
