"""What bounds all attempts but for the account: places, budgets, room on the disk, neighbours, the breaker, people.

Over the daemon and the process that hands tasks out to workers: see ``running.py``. What is of one source alone (the
breaker, unreviewed results, a broken target, hours, pauses) is looked after by the process that serves it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

from task_queue.daemon.admission.bounds import Bounds
from task_queue.daemon.admission.breaker import Breaker
from task_queue.daemon.admission.broken_bases import BrokenBases
from task_queue.daemon.admission.budget import DailyBudgets
from task_queue.daemon.admission.neighbours import Neighbours, place_of
from task_queue.daemon.admission.running import RunningKey, RunningTask, RunningTasks
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.events import BaseBroken
from task_queue.domain.holds import STOPPED, Held, Hold, any_of, outside_hours, source_held, unreviewed
from task_queue.domain.task import TaskId
from task_queue.domain.work.baseline import BrokenBase
from task_queue.platform.disk import free_mb_at, free_mb_by, trouble_at
from task_queue.ports.admission import Spending
from task_queue.ports.clock import Clock
from task_queue.ports.emit import Emit
from task_queue.store.pauses import Pauses


class SharedLimits:
    """Thread-safe: ``lock`` guards all parts, and those of the accounts."""

    def __init__(
        self,
        clock: Clock,
        spending: Spending,
        *,
        broken_bases: BrokenBases,
        pauses: Pauses,
        running: RunningTasks | None = None,
        has_unreviewed: Callable[[str, int], bool] = lambda _source, _at_least: False,
        emit: Emit = lambda _: None,
    ) -> None:
        self.clock = clock
        self.spending = spending
        self.lock = threading.RLock()
        self.bounds = Bounds()
        self.running = running or RunningTasks()
        self.budgets = DailyBudgets(spending, self.running)
        self.breaker = Breaker()
        self._emit = emit
        self._neighbours = Neighbours(self.running)
        self._has_unreviewed = has_unreviewed
        self._unreviewed: set[str] = set()
        """Sources with too many results that wait for a person."""
        self._bases = broken_bases
        self._pauses = pauses
        self._held_by_base: set[str] = set()
        self._outside_hours: set[str] = set()
        """Sources that were held because of their hours."""
        self._gap_ends: datetime | None = None
        self._stopped = False
        self._waiting: dict[str, Callable[[], None]] = {}

    def configure(self, bounds: Bounds, *, serves: Collection[str] | None = None) -> None:
        """*serves*: the sources that this process serves, None: all."""
        with self.lock:
            for source in self.bounds.closed - bounds.closed:
                self.breaker.reset(source)
            self.bounds = bounds
            self.running.is_shared = bool(bounds.remote)
            if serves is not None:
                self.running.keep_only(serves)
            with self.running.agreed():
                pass
        self.wake_all()

    def set_stopped(self, stopped: bool) -> None:
        """Nothing enters while a person has stopped everything."""
        with self.lock:
            changed, self._stopped = self._stopped != stopped, stopped
        if changed and not stopped:
            self.wake_all()

    def resumed(self, source: str) -> None:
        """A person let *source* go on."""
        with self.lock:
            self.breaker.reset(source)
        self.wake_all()

    def is_drained(self, source: str) -> bool:
        """Whether nothing of *source* runs, and nothing new can start."""
        with self.lock:
            return not self.running.of(source) and self._pauses.of(source) is not None

    def look_at_others(self) -> None:
        """The other process may have begun or ended something."""
        with self.lock:
            is_news = self.running.look()
        if is_news:
            self.wake_all()

    def look_at_broken_bases(self) -> None:
        """A person resumed a source whose target is broken."""
        with self.lock:
            resumed = {source for source in self._held_by_base if self._bases.standing(source) is None}
            self._held_by_base -= resumed
        if resumed:
            self.wake_all()

    def look_at_unreviewed(self) -> None:
        """A person may have looked at results."""
        with self.lock:
            held = set(self._unreviewed)
        for source in held:
            self._look_at_unreviewed(source)
        with self.lock:
            fewer = bool(held - self._unreviewed)
        if fewer:
            self.wake_all()

    def look_at(self, source: str) -> None:
        """At what only git and many files say. Without the lock: git may take its time."""
        self._look_at_unreviewed(source)
        self._look_at_base(source)

    def _look_at_unreviewed(self, source: str) -> None:
        most = self.bounds.unreviewed
        too_many = most is not None and self._has_unreviewed(source, most)
        with self.lock:
            (self._unreviewed.add if too_many else self._unreviewed.discard)(source)

    def look_at_start_gap(self) -> None:
        """The next attempt may start."""
        with self.lock:
            over = self._gap_ends is not None and self._neighbours.gap(self.bounds, self.clock.now()) is None
            self._gap_ends = None if over else self._gap_ends
        if over:
            self.wake_all()

    def look_at_hours(self) -> None:
        """The hours of a source may have begun."""
        with self.lock:
            opened = {source for source in tuple(self._outside_hours) if self._hours_hold(source) is None}
        if opened:
            self.wake_all()

    def tripped(self, source: str) -> str | None:
        """Why the breaker stopped *source*, if it did."""
        return self.breaker.tripped(source)

    def needs_person(self, source: str) -> str | None:
        """Why *source* is stopped until a person acts, if it is: by the breaker, or for a broken target."""
        self._look_at_base(source)
        with self.lock:
            return self._needs_person(source)

    def why_closed(self, source: str) -> str | None:
        """Why nothing of *source* starts until a person acts, if that is so; a person may have stopped it."""
        self._look_at_base(source)
        with self.lock:
            return self._why_closed(source)

    def closed(self, source: str) -> Held | None:
        """What keeps everything of *source* from starting, but for the others that run."""
        with self.lock:
            closed = self._why_closed(source)
            if closed is not None:
                return Held(closed, needs_person=True)
            return self._hours_hold(source)

    def room(self, source: str) -> Held | None:
        """What keeps one more attempt from starting, whichever it is."""
        with self.lock:
            if len(self.running.all) >= self.bounds.places:
                return Held(f"all {self.bounds.places} places for agents are taken")
            gap = self._neighbours.gap(self.bounds, self.clock.now())
            if gap is not None:
                self._gap_ends = gap.until
                return gap
            full = self._disk_holds(source)
            return None if full is None else Held(full, needs_person=True)

    def hold(self, source: str) -> Hold | None:
        """What keeps some of its tasks from starting, while others may."""
        return any_of(self.budget_hold(source), self.neighbour_hold(source))

    def budget_hold(self, source: str) -> Hold | None:
        with self.lock:
            return self.budgets.hold(source, self.bounds, self.clock.now())

    def neighbour_hold(self, source: str) -> Hold | None:
        with self.lock:
            return self._neighbours.hold(source, self.bounds, self.clock.now())

    def looked(self, source: str) -> None:
        """Its worker has looked: what runs there is known."""
        with self.lock:
            is_news = self._neighbours.know(source)
            if self.running.has_inherited(source):
                with self.running.agreed():
                    is_news = self.running.looked(source) or is_news
        if is_news:
            self.wake_all()

    def disk_troubles(self, try_it: Collection[str]) -> Mapping[str, str]:
        """Which sources may be unable to write now, and why; also while a task of theirs runs.

        *try_it*: those for which a write is tried; a disk that only sleeps is not woken for the others.
        """
        least_mb = max(1, self.bounds.min_free_mb)
        folders = self.bounds.folders
        found: dict[str, str] = {}
        for source, free_mb in free_mb_by(folders).items():
            why = trouble_at(folders[source], try_it=source in try_it)
            if free_mb < least_mb:
                why = _too_little(free_mb, folders[source], least_mb)
            if why is not None:
                found[source] = why
        return found

    def trip(self, source: str) -> str | None:
        """Stop *source* if one more start would be too many; returns why."""
        with self.lock:
            return self.breaker.trip(
                source,
                self.clock.now(),
                running=len(self.running.of(source)),
                starts_per_10min=self.bounds.starts_per_10min,
            )

    def started(self, source: str, task: Waiting) -> None:
        """*task* takes a place, and all that is left of the day's budget until ``allowance`` says how much it needs."""
        with self.lock:
            now = self.clock.now()
            self.running.started(RunningTask(source, task.id, place_of(source, task, self.bounds)), now)
            if task.uses_agent:
                self.budgets.set_aside((source, task.id), None, self.bounds, now)
            self.breaker.started(source, now)
            self._waiting.pop(source, None)

    def refused(self, source: str, wake: Callable[[], None]) -> None:
        with self.lock:
            self._waiting[source] = wake

    def allowance(self, source: str, task_id: TaskId, wanted_usd: float | None) -> float | None:
        """Set aside what the attempt about to start may spend today; None: no bound."""
        with self.lock, self.running.agreed():
            allowance = self.budgets.set_aside((source, task_id), wanted_usd, self.bounds, self.clock.now())
        self.wake_all()
        return allowance

    def count_in(
        self, source: str, task_id: TaskId, wanted_usd: float | None, task: Waiting | None
    ) -> float | None:
        """As the admission's; what it may spend of what is set aside, None: no bound."""
        with self.lock, self.running.agreed():
            key = source, task_id
            inherited = self.running.inherited(key)
            at = None if task is None else place_of(source, task, self.bounds)
            self._neighbours.know(source)
            self.running.put(RunningTask(source, task_id, at))
            if inherited is not None:
                allowance = inherited.allowance_usd
                self.running.allow(key, allowance)
            else:
                allowance = self.budgets.set_aside(key, wanted_usd, self.bounds, self.clock.now())
        self.wake_all()
        return allowance

    def expect(self, source: str) -> None:
        """*source* will be served: what an earlier daemon left running there is not known yet."""
        with self.lock:
            self._neighbours.expect(source, self.clock.now())

    def forget(self, source: str) -> None:
        """It is not served any more: what runs there does not count."""
        with self.lock, self.running.agreed():
            for task in self.running.of(source):
                self.running.left(task.key)

    def left(self, key: RunningKey) -> None:
        with self.lock, self.running.agreed():
            self.running.left(key)

    def note_broken(self, source: str, broken: BrokenBase) -> None:
        with self.lock:
            was_held = source in self._held_by_base
            self._bases.note(source, broken)
            why = self._base_holds(source)
            if why is not None and not was_held:
                self._emit(BaseBroken(source, TaskId(broken.task_id), why))

    def wake_all(self) -> None:
        with self.lock:
            wakeups = list(self._waiting.values())
            self._waiting.clear()
        for wake in wakeups:
            wake()

    def _why_closed(self, source: str) -> str | None:
        if self._stopped:
            return STOPPED
        by_configuration = source in self.bounds.closed
        paused = source_held(source, self._pauses.of(source), by_configuration=by_configuration)
        return paused or self._needs_person(source) or self._why_unreviewed(source)

    def _why_unreviewed(self, source: str) -> str | None:
        most = self.bounds.unreviewed
        return unreviewed(most) if source in self._unreviewed and most is not None else None

    def _needs_person(self, source: str) -> str | None:
        return self.breaker.tripped(source) or self._base_holds(source)

    def _look_at_base(self, source: str) -> None:
        """Let *source* go on where its target has moved."""
        broken = self._bases.standing(source)
        if broken is not None and self._bases.has_moved(broken):
            with self.lock:
                self._bases.forget(source, broken)

    def _base_holds(self, source: str) -> str | None:
        why = self._bases.hold(source)
        (self._held_by_base.discard if why is None else self._held_by_base.add)(source)
        return why

    def _hours_hold(self, source: str) -> Held | None:
        held = outside_hours(self.bounds.hours.get(source), self.clock.now())
        (self._outside_hours.discard if held is None else self._outside_hours.add)(source)
        return held

    def _disk_holds(self, source: str) -> str | None:
        folder, least_mb = self.bounds.folders.get(source), self.bounds.min_free_mb
        free_mb = None if folder is None else free_mb_at(folder)
        if folder is None or free_mb is None or free_mb >= least_mb:
            return None
        return _too_little(free_mb, folder, least_mb)


def _too_little(free_mb: int, folder: Path, least_mb: int) -> str:
    return f"only {free_mb} MB are free on the disk of {folder}, less than {least_mb}"
