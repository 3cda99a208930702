"""What may still be spent today, in USD: by one source and by all."""

from __future__ import annotations

from datetime import datetime

from task_queue.daemon.admission.bounds import Bounds
from task_queue.domain.holds import AgentHold, Held, budget_spent
from task_queue.ports.admission import Spending


class DailyBudgets:
    """What was spent, and what is set aside for attempts that run. Not thread-safe: the admission's lock guards it."""

    def __init__(self, spending: Spending) -> None:
        self._spending = spending
        self._set_aside: dict[str, float] = {}

    def set_aside(self, source: str, wanted: float | None, bounds: Bounds, now: datetime) -> float | None:
        """What the attempt about to start in *source* may spend today; None: no bound."""
        left = self._left(source, bounds, now)
        if left is None:
            return None
        self._set_aside[source] = left if wanted is None else min(left, wanted)
        return self._set_aside[source]

    def release(self, source: str) -> None:
        self._set_aside.pop(source, None)

    def hold(self, source: str, bounds: Bounds, now: datetime) -> AgentHold | None:
        """Why nothing that costs money may start in *source*, None if it may."""
        left = self._left(source, bounds, now)
        if left is None or left > 0:
            return None
        if any(of != source for of in self._set_aside) and self._left(source, bounds, now, reserved=False):
            return AgentHold(Held("what is left of the daily budget is set aside for the tasks that run"))
        return budget_spent(self._spending.spent_on(now.astimezone().date()), now=now)

    def _left(self, source: str, bounds: Bounds, now: datetime, *, reserved: bool = True) -> float | None:
        today = now.astimezone().date()
        left: list[float] = []
        if bounds.daily_budget_usd is not None:
            others = sum(usd for of, usd in self._set_aside.items() if of != source) if reserved else 0.0
            left.append(bounds.daily_budget_usd - self._spending.spent_on(today) - others)
        if source in bounds.source_budgets:
            left.append(bounds.source_budgets[source] - self._spending.spent_on(today, source))
        return max(0.0, min(left)) if left else None
