"""What keeps a worker from getting tasks: its own account, and the budgets of the day.

Each worker has an account of its own, which is not known here. So what an attempt says of it holds for the tasks of
that worker alone, for as long as this process lives.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

from task_queue.daemon.admission.account_guard import AccountGuard
from task_queue.daemon.admission.bounds import Bounds
from task_queue.daemon.admission.budget import DailyBudgets
from task_queue.domain.attempt.account import Account
from task_queue.domain.document.choices import CLAUDE
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.holds import Hold, any_of
from task_queue.domain.model import Claim, Ending, OutcomeKind, Pause
from task_queue.ports.admission import Spending
from task_queue.ports.clock import Clock


class _NotKept:
    """Implements ports.admission.AccountStore: what is known ends with the process."""

    def load(self) -> Account:
        return Account()

    def save(self, account: Account) -> None: ...

    def exists(self) -> bool:
        return True


class WorkerAccounts:
    """Of all workers. Not thread-safe."""

    def __init__(
        self,
        clock: Clock,
        spending: Spending,
        bounds_of: Callable[[], Bounds],
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.clock = clock
        self.spending = spending
        self.budgets = DailyBudgets(spending)
        self.bounds_of = bounds_of
        self.jitter = jitter
        self._of: dict[str, WorkerAccount] = {}

    def of(self, worker: str) -> WorkerAccount:
        if worker not in self._of:
            self._of[worker] = WorkerAccount(self)
        return self._of[worker]


class WorkerAccount:
    """Implements ports.admission.Admission for what one worker carries out."""

    def __init__(self, common: WorkerAccounts) -> None:
        self._common = common
        self._guard = AccountGuard(_NotKept())

    def screen(self, source: str) -> Hold | None:
        now = self._common.clock.now()
        return any_of(
            self._guard.hold(source, now),
            self._guard.hold_models(source, now),
            self._common.budgets.hold(source, self._common.bounds_of(), now),
        )

    def enter(self, source: str, task: Waiting, wake: Callable[[], None]) -> str | None:  # noqa: ARG002 - the port's signature
        held = self._guard.held(source, task, self._common.clock.now())
        if held is None and task.executor == CLAUDE:
            self._guard.started(source, task)
        return None if held is None else held.why

    def count_in(self, source: str, wanted_usd: float | None, *, task: Waiting | None = None) -> None: ...

    def leave(self, source: str) -> None:
        self._guard.left(source)

    def pause(self, pause: Pause) -> datetime:
        return self._guard.pause(pause, now=self._common.clock.now(), jitter=self._common.jitter())

    def pause_model(self, source: str, name: str, pause: Pause, *, asked: str | None) -> datetime:
        now, jitter = self._common.clock.now(), self._common.jitter()
        return self._guard.pause_model(source, name, pause, asked=asked, now=now, jitter=jitter)

    def was_paused(self, before: datetime) -> bool:
        return self._guard.was_paused(before)

    def is_probing(self, source: str) -> bool:
        return self._guard.probe == source

    def account_works(self) -> None:
        self._guard.open()

    def ended(self, source: str, claim: Claim, ending: Ending) -> None:
        work, kind = ending.work, ending.outcome.kind
        if work.total_cost_usd:
            self._common.spending.enter(
                source,
                claim.task_id,
                claim.attempt,
                work.total_cost_usd,
                at=ending.ended_at,
                estimated=work.estimated_cost_usd,
            )
        if work.num_turns and kind not in {OutcomeKind.LIMITED, OutcomeKind.ACCOUNT}:
            self._guard.model_answered(source)
        if self._guard.is_shown_to_work(source, ending):
            self._guard.open()
