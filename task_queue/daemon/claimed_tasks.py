"""What the document of a claimed task says: the task, its settings, and what follows from them for an attempt."""

from __future__ import annotations

from task_queue.daemon.context import SourceContext
from task_queue.domain.attempt.lifecycle import Policy
from task_queue.domain.attempt.results import attempts_before
from task_queue.domain.document.choices import CLAUDE, OnLostSession
from task_queue.domain.document.ordering import Waiting, waiting_for
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import TaskFileError
from task_queue.domain.model import Claim
from task_queue.domain.task import Task


class ClaimedTasks:
    """Of one source."""

    def __init__(self, context: SourceContext) -> None:
        self._queue = context.engine.queue
        self._orders = context.orders

    def task_of(self, claim: Claim) -> Task | None:
        """None of a document that is not a valid task: it never ran."""
        try:
            return self._queue.task(claim)
        except TaskFileError:
            return None

    def settings_of(self, claim: Claim) -> Settings | None:
        """None of a document that is not a valid task: it never ran."""
        try:
            return self._orders.settings_of(self._queue.task(claim))
        except TaskFileError:
            return None

    def policy_of(self, claim: Claim) -> Policy:
        settings = self.settings_of(claim)
        if settings is None:
            return Policy()
        return Policy(
            max_attempts=settings.max_attempts,
            retry_delay=settings.retry_delay,
            rerun_lost_session=settings.on_lost_session is OnLostSession.RERUN,
            repeatable=settings.executor == CLAUDE,
        )

    def may_spend(self, claim: Claim) -> float | None:
        """What of the task's own budget an attempt was started with; None: no bound."""
        settings = self.settings_of(claim)
        if settings is not None and not settings.uses_agent:
            return 0.0
        if settings is None or settings.max_budget_usd is None:
            return None
        earlier = attempts_before(self._queue.journal(claim), claim)
        return max(0.0, settings.max_budget_usd - sum(attempt.total_cost_usd or 0 for attempt in earlier))

    def as_it_waited(self, claim: Claim) -> Waiting | None:
        settings = self.settings_of(claim)
        if settings is None:
            return None
        return waiting_for(self._queue.task(claim), settings, dropped_at=claim.started_at)
