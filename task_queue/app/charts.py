"""What a chart of the history shows: figures by day, as shares of the greatest. Drawn by front ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from task_queue.app.statistics import GroupView, StatsView

_DAYS = 30


@dataclass(frozen=True, slots=True)
class DayView:
    """``share_*``: of the greatest of all days, 0 to 1."""

    day: date
    completed: int
    failed: int
    cost_usd: float
    share_completed: float
    share_failed: float
    share_cost: float


def days_of(stats: StatsView) -> tuple[DayView, ...]:
    """The last days, the oldest first, those without an end too; *stats* is by day."""
    known = {group.name: group for group in stats.groups}
    last = stats.until.astimezone().date()
    days = [last - timedelta(days=ago) for ago in reversed(range(_DAYS))]
    rows = [(day, known.get(day.isoformat(), GroupView(""))) for day in days]
    most = max((group.ended for _, group in rows), default=0) or 1
    dearest = max((group.cost_usd for _, group in rows), default=0.0) or 1.0
    return tuple(_day(day, group, most, dearest) for day, group in rows)


def _day(day: date, group: GroupView, most: int, dearest: float) -> DayView:
    completed, failed = group.states.get("completed", 0), group.states.get("failed", 0)
    return DayView(
        day,
        completed,
        failed,
        group.cost_usd,
        completed / most,
        failed / most,
        group.cost_usd / dearest,
    )
