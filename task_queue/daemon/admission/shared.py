"""One account, within what bounds all attempts (``limits.py``).

``screen`` says which waiting tasks are held back while others may pass (the account, budgets); ``enter``
takes the place of the one that was chosen. Everything is held back with a reason, never dropped.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

from task_queue.daemon.admission.account_guard import AccountGuard
from task_queue.daemon.admission.limits import SharedLimits
from task_queue.domain.attempt.account import Account
from task_queue.domain.document import naming
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.events import AccountResumed
from task_queue.domain.holds import Held, Hold, any_of
from task_queue.domain.model import Claim, Ending, OutcomeKind, Pause
from task_queue.domain.task import TaskId
from task_queue.domain.work.baseline import broken_base
from task_queue.ports.admission import AccountStore
from task_queue.ports.emit import Emit


class SharedAdmission:
    """Implements ports.admission.Admission. Thread-safe: the lock of the limits guards it."""

    def __init__(
        self,
        limits: SharedLimits,
        account: AccountStore,
        *,
        jitter: Callable[[], float] = random.random,
        emit: Emit = lambda _: None,
    ) -> None:
        self.limits = limits
        self._clock = limits.clock
        self._lock = limits.lock
        self._jitter = jitter
        self._emit = emit
        self._guard = AccountGuard(account)
        self._held_one: set[str] = set()
        """Sources whose next task is held, while others of theirs may start."""

    @property
    def account(self) -> Account:
        return self._guard.account

    def look_at_account_file(self) -> None:
        """A person opened the account by removing its file."""
        with self._lock:
            opened = self._guard.opened_by_a_person()
        if opened:
            self._emit(AccountResumed("a person opened it"))
            self.limits.wake_all()

    def take_account(self, account: Account) -> None:
        """Another host that uses it has found it so."""
        with self._lock:
            self._guard.take(account)
        self.limits.wake_all()

    def held(self, source: str, task: Waiting) -> Held | None:
        """What keeps *task* of *source* from starting now, None if nothing does."""
        self.limits.needs_person(source)
        with self._lock:
            return self._held(source, task)

    def screen(self, source: str) -> Hold | None:
        self.limits.looked(source)
        with self._lock:
            self._guard.looks(source)
            return any_of(self._guard.hold(self._clock.now()), self._other_holds(source))

    def enter(self, source: str, task: Waiting, wake: Callable[[], None]) -> str | None:
        self.limits.look_at(source)
        return self.enter_as_seen(source, task, wake)

    def enter_as_seen(self, source: str, task: Waiting, wake: Callable[[], None]) -> str | None:
        """As ``enter``, by what ``limits.look_at`` has seen last: it does not wait for git."""
        with self._lock, self.limits.running.agreed():
            reason = self._why_not(source, task)
            if reason is not None:
                self.limits.refused(source, wake)
                return reason
            self.limits.started(source, task)
            if task.uses_agent:
                self._guard.started(source, task)
            return None

    def count_in(
        self, source: str, task_id: TaskId, wanted_usd: float | None, *, task: Waiting | None = None
    ) -> None:
        self.limits.count_in(source, task_id, wanted_usd, task)

    def holds_one(self, source: str) -> bool:
        """Whether what it said last in ``enter`` concerns that task, and no others of *source*."""
        return source in self._held_one

    def leave(self, source: str, task_id: TaskId) -> None:
        with self._lock:
            self.limits.left((source, task_id))
            self._guard.left((source, task_id))
        self.limits.wake_all()

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

    def is_probing(self, source: str, task_id: TaskId) -> bool:
        return self._guard.probe == (source, task_id)

    def account_works(self) -> None:
        """The agent that tried the account got an answer: let the others go on."""
        with self._lock:
            was_paused = self._guard.account.paused_until is not None
            self._guard.open()
        if was_paused:
            self._emit(AccountResumed("an agent got an answer"))
        self.limits.wake_all()

    def ended(self, source: str, claim: Claim, ending: Ending) -> None:
        """Take note of what an attempt cost and showed."""
        work, kind = ending.work, ending.outcome.kind
        key = source, naming.task_id_of(claim.document)
        with self._lock:
            if work.total_cost_usd:
                self.limits.spending.enter(
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
                self.limits.breaker.succeeded(source)
            broken = broken_base(claim.task_id, work.product, at=ending.ended_at)
            if broken is not None:
                self.limits.note_broken(source, broken)
            if work.num_turns and kind not in {OutcomeKind.LIMITED, OutcomeKind.ACCOUNT}:
                self._guard.model_answered(key)
            if self._guard.is_shown_to_work(key, ending):
                self.account_works()

    def _why_not(self, source: str, task: Waiting) -> str | None:
        closed = self.limits.closed(source)
        if closed is None:
            self._guard.asks(source, task, self._clock.now())
        held = closed or self._held(source, task)
        (self._held_one.add if held is not None and held.of_one else self._held_one.discard)(source)
        return held.why if held is not None else self.limits.trip(source)

    def _held(self, source: str, task: Waiting) -> Held | None:
        held = self.limits.closed(source) or self._guard.held(source, task, self._clock.now())
        others = self._other_holds(source) if held is None else None
        held = others.on(task) if others is not None else held
        return held or self.limits.room(source)

    def _other_holds(self, source: str) -> Hold | None:
        now = self._clock.now()
        return any_of(
            self._guard.hold_models(source, now),
            self.limits.budget_hold(source),
            self._guard.hold_low_priority(self.limits.bounds, now),
            self.limits.neighbour_hold(source),
        )
