"""What may still be spent today, in USD: by one source and by all."""

from __future__ import annotations

from datetime import datetime

from task_queue.daemon.admission.bounds import Bounds
from task_queue.daemon.admission.running import RunningKey, RunningTasks
from task_queue.domain.holds import AgentHold, Held, budget_spent
from task_queue.ports.admission import Spending


class DailyBudgets:
    """What was spent, and what is set aside for attempts that run. Not thread-safe: the admission's lock guards it."""

    def __init__(self, spending: Spending, running: RunningTasks) -> None:
        self._spending = spending
        self._running = running

    def set_aside(self, key: RunningKey, wanted: float | None, bounds: Bounds, now: datetime) -> float | None:
        """What the attempt about to start may spend today; None: no bound."""
        left = self._left(key[0], bounds, now, but_for=key)
        allowance = min(left, wanted) if left is not None and wanted is not None else left
        self._running.allow(key, allowance)
        return allowance

    def hold(self, source: str, bounds: Bounds, now: datetime) -> AgentHold | None:
        """Why nothing that costs money may start in *source*, None if it may."""
        left = self._left(source, bounds, now)
        if left is None or left > 0:
            return None
        if self._left(source, bounds, now, reserved=False):
            return AgentHold(Held("what is left of the daily budget is set aside for the tasks that run"))
        return budget_spent(self._spending.spent_on(now.astimezone().date()), now=now)

    def _left(
        self,
        source: str,
        bounds: Bounds,
        now: datetime,
        *,
        reserved: bool = True,
        but_for: RunningKey | None = None,
    ) -> float | None:
        today = now.astimezone().date()
        aside = [
            (task.source, task.allowance_usd or 0.0)
            for task in self._running.all
            if reserved and task.key != but_for
        ]
        left: list[float] = []
        if bounds.daily_budget_usd is not None:
            others = sum(usd for _, usd in aside)
            left.append(bounds.daily_budget_usd - self._spending.spent_on(today) - others)
        if source in bounds.source_budgets:
            others = sum(usd for of, usd in aside if of == source)
            left.append(bounds.source_budgets[source] - self._spending.spent_on(today, source) - others)
        return max(0.0, min(left)) if left else None
