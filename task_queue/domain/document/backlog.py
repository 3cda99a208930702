"""The waiting tasks of one source, kept so that the next one is found without a walk over all of them.

Pure: time, states and holds are arguments. Ready tasks are in a heap for each of the kinds that a hold may
distinguish, so that it is asked about a few heads only; delayed ones in a heap by the time when their wait
ends; those that wait for others are looked at again when one of these may have moved.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from task_queue.domain.document.naming import natural, unnumbered
from task_queue.domain.document.ordering import (
    AwaitsDependency,
    DependencyFailed,
    Next,
    OnHold,
    Ready,
    StateOf,
    Waiting,
    delayed_until,
    place_in_order,
    standing,
)
from task_queue.domain.task import TaskId, TaskState

Screen = Callable[[Waiting], str | None]
"""Why a task is held back while others may pass; depends on nothing but what makes its kind."""
_Family = tuple[str, bool, int, str | None, int]
"""Executor, whether it uses the built-in agent, priority, model, and how often in a row the account sent it back.

No executor and no model for tasks that are doomed, which no hold concerns.
"""
_Kind = tuple[_Family, str | None, bool, tuple[str, ...], tuple[str, tuple[str, ...], str | None]]
"""With the workspace that it names, whether it works in place, what it touches, and what a worker looks at: its type,
the capabilities that it needs, who submitted it. Of these there may be many."""
_ByAge = tuple[float, datetime, str, TaskId]
"""Within a kind, as ``place_in_order``: counts from, dropped at, the name as it sorts, and the id."""
_HeapItem = TypeVar("_HeapItem", _ByAge, tuple[datetime, TaskId])
_SLACK = 64


class Backlog:
    """Holds at most one task of each id. Iterates in the order in which the tasks would run."""

    def __init__(self, tasks: Iterable[Waiting] = ()) -> None:
        self._tasks: dict[TaskId, Waiting] = {}
        self._unsorted: set[TaskId] = set()
        """Tasks of which it has to be looked at again what they wait for."""
        self._ready: dict[_Kind, list[_ByAge]] = {}
        self._firsts: dict[_Family, list[tuple[_ByAge, int, _Kind]]] = {}
        """The first of each kind of a family; with a number, because kinds cannot be compared."""
        self._pushes = 0
        self._delayed: list[tuple[datetime, TaskId]] = []
        # An entry of a heap may be out of date: it is checked when it comes to the top.
        self._entries = 0
        self._timed: set[TaskId] = set()
        self._now: datetime | None = None
        self._held: set[TaskId] = set()
        self._stuck: dict[TaskId, str] = {}
        """Of those that are held the ones that only a person can free, and why."""
        self._newly_stuck: dict[TaskId, str] = {}
        self._dependants: dict[TaskId, set[TaskId]] = {}
        self._of_name: dict[TaskId, set[TaskId]] = {}
        """Which dependencies may have moved when a task of that name did: a record may carry a number."""
        self._moved: set[TaskId] = set()
        self._states: dict[TaskId, TaskState | None] = {}
        """Of each dependency, as it was when it was looked at last."""
        for task in tasks:
            self.put(task)

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(sorted(self._tasks.values(), key=place_in_order))

    @property
    def has_dependants(self) -> bool:
        """Whether a task in here depends on another."""
        return bool(self._dependants)

    def get(self, task_id: TaskId) -> Waiting | None:
        return self._tasks.get(task_id)

    def put(self, task: Waiting) -> None:
        """Add *task*, or put it in place of the one of its id."""
        if self._tasks.get(task.id) == task:
            return
        self.discard(task.id)
        self._tasks[task.id] = task
        self._unsorted.add(task.id)
        if task.not_before is not None or task.next_try is not None:
            self._timed.add(task.id)
        for dependency in task.depends_on:
            self._dependants.setdefault(dependency, set()).add(task.id)
            name = unnumbered(dependency)
            self._of_name.setdefault(name, set()).add(dependency)
            self._moved.add(name)  # looked at once, for however many tasks that wait for it

    def discard(self, task_id: TaskId) -> None:
        task = self._tasks.pop(task_id, None)
        if task is None:
            return
        for each in (self._unsorted, self._timed, self._held):
            each.discard(task_id)
        self._note_stuck(task_id, None)
        for dependency in task.depends_on:
            dependants = self._dependants.get(dependency)
            if dependants is None:
                continue
            dependants.discard(task_id)
            if not dependants:
                self._forget_dependency(dependency)

    def depends_on(self, task_id: TaskId) -> bool:
        """Whether a task in here waits, or waited, for *task_id*. May be asked from any thread."""
        return unnumbered(task_id) in self._of_name

    def moved(self, task_id: TaskId) -> None:
        """The state of *task_id*, in whichever source, may be another now."""
        name = unnumbered(task_id)
        if name in self._of_name:
            self._moved.add(name)

    def all_moved(self) -> None:
        """The state of every task may be another now."""
        self._moved.update(self._of_name)

    def next(self, *, now: datetime, state_of: StateOf, screen: Screen | None = None) -> Next | None:
        """The first task in order that need not wait, None if all must.

        One that is doomed goes before all others: to end it takes no place, and no hold concerns it.
        """
        if self._entries > 3 * len(self._tasks) + _SLACK:
            self._rebuild()
        self._look_at_moved(state_of)
        self._advance(now)
        while True:
            self._sort(now)
            found = self._first(now, state_of, screen)
            if not self._unsorted:  # else a state turned out to have changed
                return found

    def newly_stuck(self) -> tuple[tuple[Waiting, str], ...]:
        """The tasks that only a person can free, and why, as far as this was not asked since; after ``next``.

        Without those that wait for a task which may only not have been dropped yet.
        """
        newly, self._newly_stuck = self._newly_stuck, {}
        return tuple((self._tasks[task_id], why) for task_id, why in newly.items())

    def heads(self) -> tuple[Waiting, ...]:
        """The first of each kind of tasks that the last ``next`` found ready or doomed."""
        found: list[Waiting] = []
        for kind, heap in list(self._ready.items()):
            first = heap[0]
            while heap and not self._is_still(heap[0], kind):
                self._set_aside_first_of(heap)
            if not heap:
                del self._ready[kind]
                continue
            if heap[0] != first:
                self._note_first(kind)
            found.append(self._tasks[heap[0][-1]])
        return tuple(found)

    def first_delayed(self, now: datetime) -> tuple[Waiting, datetime] | None:
        """Of those that wait for a time and nothing else the one whose wait ends first, and when; after ``next``."""
        due = self.next_due(now)
        if due is None:
            return None
        first = self._tasks[self._delayed[0][1]]
        if not self._awaits_another(first):
            return first, due
        alone = (
            (until, task_id)
            for until, task_id in self._delayed
            if (task := self._tasks.get(task_id)) is not None
            and delayed_until(task, now) == until
            and not self._awaits_another(task)
        )
        until, task_id = min(alone, default=(None, None))
        return None if until is None or task_id is None else (self._tasks[task_id], until)

    def _awaits_another(self, task: Waiting) -> bool:
        stands = standing(task, self._states.__getitem__) if task.may_have_to_stand else None
        return isinstance(stands, AwaitsDependency)

    def next_due(self, now: datetime) -> datetime | None:
        """The earliest time after *now* at which a delayed task's wait ends."""
        self._advance(now)
        while self._delayed:
            due, task_id = self._delayed[0]
            task = self._tasks.get(task_id)
            until = None if task is None else delayed_until(task, now)
            if until == due:
                return due
            self._pop(self._delayed)
            if until is not None:  # the end of a wait may move with the clock
                self._push(self._delayed, (until, task_id))
        return None

    def _first(self, now: datetime, state_of: StateOf, screen: Screen | None) -> Next | None:
        doomed: DependencyFailed | None = None
        ready: Ready | None = None
        held: OnHold | None = None
        for family in list(self._firsts):
            for found in self._family(family, now, state_of, screen):
                match found:
                    case DependencyFailed():
                        doomed = found if doomed is None or _is_before(found.task, doomed.task) else doomed
                    case Ready():
                        ready = found if ready is None or _is_before(found.task, ready.task) else ready
                    case OnHold():
                        held = found if held is None or _tries_before(found.task, held.task) else held
        return doomed or ready or held

    def _family(
        self, family: _Family, now: datetime, state_of: StateOf, screen: Screen | None
    ) -> Iterator[Next]:
        """Its first task that may start, after the first one of each kind before that which may not."""
        firsts = self._firsts[family]
        passed_over: list[tuple[_ByAge, int, _Kind]] = []
        while firsts:
            place, _, kind = firsts[0]
            if not self._is_first(place, kind):
                heapq.heappop(firsts)
                continue
            head = self._head(kind, now, state_of)
            if head is None or not self._is_first(place, kind):
                heapq.heappop(firsts)
                if head is not None:
                    self._note_first(kind)
                continue
            why = screen(head.task) if screen is not None and isinstance(head, Ready) else None
            if why is None:
                yield head
                break
            yield OnHold(head.task, why)
            passed_over.append(heapq.heappop(firsts))
        for entry in passed_over:
            heapq.heappush(firsts, entry)
        if not firsts:
            del self._firsts[family]

    def _is_first(self, place: _ByAge, kind: _Kind) -> bool:
        heap = self._ready.get(kind)
        return heap is not None and heap[0] == place

    def _note_first(self, kind: _Kind) -> None:
        self._pushes += 1
        entry = (self._ready[kind][0], self._pushes, kind)
        heapq.heappush(self._firsts.setdefault(kind[0], []), entry)

    def _head(self, kind: _Kind, now: datetime, state_of: StateOf) -> Ready | DependencyFailed | None:
        """The first of *kind* that is still so; the states that it depends on are looked at now."""
        heap = self._ready[kind]
        while heap:
            task = self._tasks.get(heap[0][-1])
            for dependency in task.depends_on if task is not None else ():
                self._note_state(dependency, state_of)
            found = self._still(heap[0], kind, now)
            if found is not None:
                return found
            self._set_aside_first_of(heap)
        del self._ready[kind]
        return None

    def _still(self, entry: _ByAge, kind: _Kind, now: datetime) -> Ready | DependencyFailed | None:
        """What *entry* of *kind* stands for, None if it is out of date."""
        counts_from, dropped_at, _, task_id = entry
        task = self._tasks.get(task_id)
        if task is None or (task.counts_from, task.dropped_at) != (counts_from, dropped_at):
            return None
        found = self._found(task, now)
        return found if isinstance(found, Ready | DependencyFailed) and _kind_of(found) == kind else None

    def _is_still(self, entry: _ByAge, kind: _Kind) -> bool:
        return self._now is not None and self._still(entry, kind, self._now) is not None

    def _set_aside_first_of(self, heap: list[_ByAge]) -> None:
        """It is out of date: where its task is now is looked at again."""
        task_id = self._pop(heap)[-1]
        if task_id in self._tasks:
            self._unsorted.add(task_id)

    def _found(self, task: Waiting, now: datetime) -> Ready | DependencyFailed | AwaitsDependency | datetime:
        """What is known of *task*; a time if it is delayed until then."""
        until = delayed_until(task, now)
        if until is not None:
            return until
        stands = standing(task, self._states.__getitem__) if task.may_have_to_stand else None
        return stands or Ready(task)

    def _sort(self, now: datetime) -> None:
        if self._unsorted:
            self._sort_all(now)
            self._unsorted = set()  # an emptied one keeps the room that it once needed

    def _sort_all(self, now: datetime) -> None:
        while self._unsorted:
            task = self._tasks[self._unsorted.pop()]
            self._held.discard(task.id)
            found = self._found(task, now)
            self._note_stuck(task.id, _why_stuck(found))
            if isinstance(found, datetime):
                self._push(self._delayed, (found, task.id))
            elif isinstance(found, AwaitsDependency):
                self._held.add(task.id)
            else:
                place = (task.counts_from, task.dropped_at, natural(task.id), task.id)
                kind = _kind_of(found)
                self._push(self._ready.setdefault(kind, []), place)
                if self._is_first(place, kind):
                    self._note_first(kind)

    def _note_stuck(self, task_id: TaskId, why: str | None) -> None:
        if self._stuck.get(task_id) == why:
            return
        if why is None:
            del self._stuck[task_id]
            self._newly_stuck.pop(task_id, None)
        else:
            self._stuck[task_id] = self._newly_stuck[task_id] = why

    def _look_at_moved(self, state_of: StateOf) -> None:
        moved, self._moved = self._moved, set()
        for name in moved:
            for dependency in tuple(self._of_name.get(name, ())):
                self._note_state(dependency, state_of)

    def _note_state(self, dependency: TaskId, state_of: StateOf) -> None:
        state = state_of(dependency)
        if dependency in self._states and self._states[dependency] is state:
            return
        self._states[dependency] = state
        self._unsorted |= self._dependants[dependency] & self._held

    def _advance(self, now: datetime) -> None:
        if (
            self._now is not None and now < self._now
        ):  # the clock was set back: waits that were over may not be
            self._unsorted |= self._timed
            self._entries -= len(self._delayed)
            self._delayed.clear()
        self._now = now
        while self._delayed and self._delayed[0][0] <= now:
            _, task_id = self._pop(self._delayed)
            if task_id in self._timed:
                self._unsorted.add(task_id)

    def _rebuild(self) -> None:
        self._ready.clear()
        self._firsts.clear()
        self._delayed.clear()
        self._held.clear()
        self._entries = 0
        self._unsorted.update(self._tasks)

    def _push(self, heap: list[_HeapItem], entry: _HeapItem) -> None:
        heapq.heappush(heap, entry)
        self._entries += 1

    def _pop(self, heap: list[_HeapItem]) -> _HeapItem:
        self._entries -= 1
        return heapq.heappop(heap)

    def _forget_dependency(self, dependency: TaskId) -> None:
        del self._dependants[dependency]
        self._states.pop(dependency, None)
        name = unnumbered(dependency)
        self._of_name[name].discard(dependency)
        if not self._of_name[name]:
            del self._of_name[name]


def _is_before(task: Waiting, other: Waiting) -> bool:
    return place_in_order(task) < place_in_order(other)


def _tries_before(task: Waiting, other: Waiting) -> bool:
    """Of those that are held, the one comes first that a paused account sent back least often."""
    return (task.paused, place_in_order(task)) < (other.paused, place_in_order(other))


def _kind_of(found: Ready | DependencyFailed) -> _Kind:
    task = found.task
    if isinstance(found, DependencyFailed):
        return ("", False, task.priority, None, 0), None, False, (), ("", (), None)
    return (
        (task.executor, task.uses_agent, task.priority, task.model, task.paused),
        task.workspace,
        task.in_place,
        task.touches,
        (task.type, task.capabilities, task.submitted_by),
    )


def _why_stuck(found: object) -> str | None:
    if not isinstance(found, AwaitsDependency) or not found.needs_person or found.is_missing:
        return None
    return found.reason
