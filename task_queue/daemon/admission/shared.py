"""What all sources share: places for agents, the account, budgets, room on the disk, and the breaker.

``screen`` says which waiting tasks are held back while others may pass (the account, budgets); ``enter``
takes the place of the one that was chosen. Everything is held back with a reason, never dropped.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

from task_queue.daemon.admission.account_guard import AccountGuard
from task_queue.daemon.admission.bounds import Bounds
from task_queue.daemon.admission.breaker import Breaker
from task_queue.daemon.admission.broken_bases import BrokenBases
from task_queue.daemon.admission.budget import DailyBudgets
from task_queue.daemon.admission.neighbours import Neighbours
from task_queue.domain.attempt.account import Account
from task_queue.domain.document.choices import CLAUDE
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.events import AccountResumed, BaseBroken
from task_queue.domain.holds import STOPPED, Held, Hold, any_of, outside_hours, source_held, unreviewed
from task_queue.domain.model import Claim, Ending, OutcomeKind, Pause
from task_queue.domain.task import TaskId
from task_queue.domain.together import Neighbour
from task_queue.domain.work.baseline import BrokenBase, broken_base
from task_queue.platform.disk import free_mb_at, free_mb_by, trouble_at
from task_queue.ports.admission import AccountStore, Spending
from task_queue.ports.clock import Clock
from task_queue.ports.emit import Emit
from task_queue.store.pauses import Pauses


class SharedAdmission:
    """Implements ports.admission.Admission. Thread-safe: one lock guards all parts."""

    def __init__(
        self,
        clock: Clock,
        account: AccountStore,
        spending: Spending,
        *,
        broken_bases: BrokenBases,
        pauses: Pauses,
        has_unreviewed: Callable[[str, int], bool] = lambda _source, _at_least: False,
        jitter: Callable[[], float] = random.random,
        emit: Emit = lambda _: None,
    ) -> None:
        self._clock = clock
        self._spending = spending
        self._jitter = jitter
        self._emit = emit
        self._lock = threading.RLock()
        self._bounds = Bounds()
        self._guard = AccountGuard(account)
        self._budgets = DailyBudgets(spending)
        self._breaker = Breaker()
        self._neighbours = Neighbours()
        self._has_unreviewed = has_unreviewed
        self._unreviewed: set[str] = set()
        """Sources with too many results that wait for a person."""
        self._bases = broken_bases
        self._pauses = pauses
        self._held_by_base: set[str] = set()
        self._outside_hours: set[str] = set()
        """Sources that were held because of their hours."""
        self._inside: set[str] = set()
        """Sources that have an attempt running."""
        self._held_one: set[str] = set()
        """Sources whose next task is held, while others of theirs may start."""
        self._gap_ends: datetime | None = None
        self._stopped = False
        self._waiting: dict[str, Callable[[], None]] = {}

    def configure(self, bounds: Bounds) -> None:
        with self._lock:
            for source in self._bounds.closed - bounds.closed:
                self._breaker.reset(source)
            self._bounds = bounds
        self._wake_all()

    @property
    def account(self) -> Account:
        return self._guard.account

    def set_stopped(self, stopped: bool) -> None:
        """Nothing enters while a person has stopped everything."""
        with self._lock:
            changed, self._stopped = self._stopped != stopped, stopped
        if changed and not stopped:
            self._wake_all()

    def look_at_account_file(self) -> None:
        """A person opened the account by removing its file."""
        with self._lock:
            opened = self._guard.opened_by_a_person()
        if opened:
            self._emit(AccountResumed("a person opened it"))
            self._wake_all()

    def resumed(self, source: str) -> None:
        """A person let *source* go on."""
        with self._lock:
            self._breaker.reset(source)
        self._wake_all()

    def is_drained(self, source: str) -> bool:
        """Whether nothing of *source* runs, and nothing new can start."""
        with self._lock:
            return source not in self._inside and self._pauses.of(source) is not None

    def look_at_broken_bases(self) -> None:
        """A person resumed a source whose target is broken."""
        with self._lock:
            resumed = {source for source in self._held_by_base if self._bases.standing(source) is None}
            self._held_by_base -= resumed
        if resumed:
            self._wake_all()

    def look_at_unreviewed(self) -> None:
        """A person may have looked at results."""
        with self._lock:
            held = set(self._unreviewed)
        for source in held:
            self._look_at_unreviewed(source)
        with self._lock:
            fewer = bool(held - self._unreviewed)
        if fewer:
            self._wake_all()

    def _look_at_unreviewed(self, source: str) -> None:
        """Without the lock: git may be asked which branches were merged."""
        most = self._bounds.unreviewed
        too_many = most is not None and self._has_unreviewed(source, most)
        with self._lock:
            (self._unreviewed.add if too_many else self._unreviewed.discard)(source)

    def look_at_start_gap(self) -> None:
        """The next attempt may start."""
        with self._lock:
            over = (
                self._gap_ends is not None and self._neighbours.gap(self._bounds, self._clock.now()) is None
            )
            self._gap_ends = None if over else self._gap_ends
        if over:
            self._wake_all()

    def look_at_hours(self) -> None:
        """The hours of a source may have begun."""
        with self._lock:
            opened = {source for source in tuple(self._outside_hours) if self._hours_hold(source) is None}
        if opened:
            self._wake_all()

    def tripped(self, source: str) -> str | None:
        """Why the breaker stopped *source*, if it did."""
        return self._breaker.tripped(source)

    def needs_person(self, source: str) -> str | None:
        """Why *source* is stopped until a person acts, if it is: by the breaker, or for a broken target."""
        self._look_at_base(source)
        with self._lock:
            return self._needs_person(source)

    def held(self, source: str, task: Waiting) -> Held | None:
        """What keeps *task* of *source* from starting now, None if nothing does."""
        self._look_at_base(source)
        with self._lock:
            return self._held(source, task)

    def why_closed(self, source: str) -> str | None:
        """Why nothing of *source* starts until a person acts, if that is so; a person may have stopped it."""
        self._look_at_base(source)
        with self._lock:
            return self._why_closed(source)

    def disk_troubles(self, try_it: Collection[str]) -> Mapping[str, str]:
        """Which sources may be unable to write now, and why; also while a task of theirs runs.

        *try_it*: those for which a write is tried; a disk that only sleeps is not woken for the others.
        """
        least_mb = max(1, self._bounds.min_free_mb)
        folders = self._bounds.folders
        found: dict[str, str] = {}
        for source, free_mb in free_mb_by(folders).items():
            why = trouble_at(folders[source], try_it=source in try_it)
            if free_mb < least_mb:
                why = _too_little(free_mb, folders[source], least_mb)
            if why is not None:
                found[source] = why
        return found

    def screen(self, source: str) -> Hold | None:
        with self._lock:
            is_news = self._neighbours.looked(source)
            self._guard.looks(source)
            hold = any_of(self._guard.hold(source, self._clock.now()), self._other_holds(source))
        if is_news:
            self._wake_all()
        return hold

    def _other_holds(self, source: str) -> Hold | None:
        now = self._clock.now()
        return any_of(
            self._guard.hold_models(source, now),
            self._budgets.hold(source, self._bounds, now),
            self._guard.hold_low_priority(self._bounds, now),
            self._neighbours.hold(source, self._bounds, now),
        )

    def enter(self, source: str, task: Waiting, wake: Callable[[], None]) -> str | None:
        self._look_at_unreviewed(source)
        self._look_at_base(source)
        with self._lock:
            reason = self._why_not(source, task)
            if reason is not None:
                self._waiting[source] = wake
                return reason
            self._waiting.pop(source, None)
            self._inside.add(source)
            self._neighbours.started(source, task, bounds=self._bounds)
            self._neighbours.note_start(self._clock.now())
            self._breaker.started(source, self._clock.now())
            if task.executor == CLAUDE:
                self._guard.started(source, task)
            return None

    def count_in(self, source: str, wanted_usd: float | None, *, task: Waiting | None = None) -> None:
        with self._lock:
            self._inside.add(source)
            if task is not None:
                self._neighbours.started(source, task, bounds=self._bounds)
            self._neighbours.looked(source)
            self.allowance(source, wanted_usd)
        self._wake_all()

    def expect(self, source: str) -> None:
        """*source* will be served: what an earlier daemon left running there is not known yet."""
        with self._lock:
            self._neighbours.expect(source, self._clock.now())

    def running_in(self, source: str) -> Neighbour | None:
        with self._lock:
            return self._neighbours.running_in(source)

    def holds_one(self, source: str) -> bool:
        """Whether what it said last in ``enter`` concerns that task, and no others of *source*."""
        return source in self._held_one

    def leave(self, source: str) -> None:
        with self._lock:
            self._inside.discard(source)
            self._budgets.release(source)
            self._neighbours.left(source)
            self._guard.left(source)
        self._wake_all()

    def allowance(self, source: str, wanted_usd: float | None) -> float | None:
        """Set aside what the attempt about to start in *source* may spend today; None: no bound."""
        with self._lock:
            return self._budgets.set_aside(source, wanted_usd, self._bounds, self._clock.now())

    def pause(self, pause: Pause) -> datetime:
        with self._lock:
            return self._guard.pause(pause, now=self._clock.now(), jitter=self._jitter())

    def pause_model(self, source: str, name: str, pause: Pause, *, asked: str | None) -> datetime:
        with self._lock:
            now, jitter = self._clock.now(), self._jitter()
            return self._guard.pause_model(source, name, pause, asked=asked, now=now, jitter=jitter)

    def was_paused(self, before: datetime) -> bool:
        with self._lock:
            return self._guard.was_paused(before)

    def is_probing(self, source: str) -> bool:
        return self._guard.probe == source

    def account_works(self) -> None:
        """The agent that tried the account got an answer: let the others go on."""
        with self._lock:
            was_paused = self._guard.account.paused_until is not None
            self._guard.open()
        if was_paused:
            self._emit(AccountResumed("an agent got an answer"))
        self._wake_all()

    def ended(self, source: str, claim: Claim, ending: Ending) -> None:
        """Take note of what an attempt cost and showed."""
        work, kind = ending.work, ending.outcome.kind
        with self._lock:
            if work.total_cost_usd:
                self._spending.enter(
                    source,
                    claim.task_id,
                    claim.attempt,
                    work.total_cost_usd,
                    at=ending.ended_at,
                    estimated=work.estimated_cost_usd,
                )
            if work.utilization is not None:
                self.look_at_account_file()  # or writing it would undo what a person did a moment ago
                self._guard.note_utilization(work.utilization, self._clock.now())
            if kind is OutcomeKind.SUCCEEDED:
                self._breaker.succeeded(source)
            broken = broken_base(claim.task_id, work.product, at=ending.ended_at)
            if broken is not None:
                self._note_broken(source, broken)
            if work.num_turns and kind not in {OutcomeKind.LIMITED, OutcomeKind.ACCOUNT}:
                self._guard.model_answered(source)
            if self._guard.is_shown_to_work(source, ending):
                self.account_works()

    def _why_not(self, source: str, task: Waiting) -> str | None:
        if self._why_closed(source) is None and self._hours_hold(source) is None:
            self._guard.asks(source, task, self._clock.now())
        held = self._held(source, task)
        (self._held_one.add if held is not None and held.of_one else self._held_one.discard)(source)
        if held is not None:
            return held.why
        limit = self._bounds.starts_per_10min
        return self._breaker.trip(source, self._clock.now(), starts_per_10min=limit)

    def _held(self, source: str, task: Waiting) -> Held | None:
        closed = self._why_closed(source)
        if closed is not None:
            return Held(closed, needs_person=True)
        outside = self._hours_hold(source)
        if outside is not None:
            return outside
        held = self._guard.held(source, task, self._clock.now())
        others = self._other_holds(source) if held is None else None
        held = others.on(task) if others is not None else held
        if held is not None:
            return held
        if len(self._inside) >= self._bounds.places:
            return Held(f"all {self._bounds.places} places for agents are taken")
        gap = self._neighbours.gap(self._bounds, self._clock.now())
        if gap is not None:
            self._gap_ends = gap.until
            return gap
        full = self._disk_holds(source)
        return None if full is None else Held(full, needs_person=True)

    def _why_closed(self, source: str) -> str | None:
        if self._stopped:
            return STOPPED
        by_configuration = source in self._bounds.closed
        paused = source_held(source, self._pauses.of(source), by_configuration=by_configuration)
        return paused or self._needs_person(source) or self._why_unreviewed(source)

    def _why_unreviewed(self, source: str) -> str | None:
        most = self._bounds.unreviewed
        return unreviewed(most) if source in self._unreviewed and most is not None else None

    def _needs_person(self, source: str) -> str | None:
        return self._breaker.tripped(source) or self._base_holds(source)

    def _look_at_base(self, source: str) -> None:
        """Let *source* go on where its target has moved. Without the lock: git may take its time."""
        broken = self._bases.standing(source)
        if broken is not None and self._bases.has_moved(broken):
            with self._lock:
                self._bases.forget(source, broken)

    def _note_broken(self, source: str, broken: BrokenBase) -> None:
        was_held = source in self._held_by_base
        self._bases.note(source, broken)
        why = self._base_holds(source)
        if why is not None and not was_held:
            self._emit(BaseBroken(source, TaskId(broken.task_id), why))

    def _base_holds(self, source: str) -> str | None:
        why = self._bases.hold(source)
        (self._held_by_base.discard if why is None else self._held_by_base.add)(source)
        return why

    def _hours_hold(self, source: str) -> Held | None:
        held = outside_hours(self._bounds.hours.get(source), self._clock.now())
        (self._outside_hours.discard if held is None else self._outside_hours.add)(source)
        return held

    def _disk_holds(self, source: str) -> str | None:
        folder, least_mb = self._bounds.folders.get(source), self._bounds.min_free_mb
        free_mb = None if folder is None else free_mb_at(folder)
        if folder is None or free_mb is None or free_mb >= least_mb:
            return None
        return _too_little(free_mb, folder, least_mb)

    def _wake_all(self) -> None:
        with self._lock:
            wakeups = list(self._waiting.values())
            self._waiting.clear()
        for wake in wakeups:
            wake()


def _too_little(free_mb: int, folder: Path, least_mb: int) -> str:
    return f"only {free_mb} MB are free on the disk of {folder}, less than {least_mb}"
