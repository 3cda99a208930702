"""Days of a chart: all of them, in order, as shares of the greatest."""

from __future__ import annotations

from datetime import UTC, datetime

from task_queue.app.charts import days_of
from task_queue.app.statistics import GroupView, LimitsView, StatsView


def stats(*groups: GroupView) -> StatsView:
    until = datetime(2026, 3, 2, 12, tzinfo=UTC)
    return StatsView(None, None, until, GroupView(""), LimitsView(0, 0, 0.0, None), "day", groups)


def test_each_day_is_there_and_the_greatest_is_whole() -> None:
    days = days_of(
        stats(
            GroupView("2026-03-02", 4, {"completed": 3, "failed": 1}, cost_usd=1.0),
            GroupView("2026-02-28", 2, {"completed": 2}, cost_usd=4.0),
        )
    )

    assert len(days) == 30
    assert [str(day.day) for day in days[-3:]] == ["2026-02-28", "2026-03-01", "2026-03-02"]
    assert [(day.share_completed, day.share_failed, day.share_cost) for day in days[-3:]] == [
        (0.5, 0.0, 1.0),
        (0.0, 0.0, 0.0),
        (0.75, 0.25, 0.25),
    ]


def test_without_any_end_nothing_is_divided_by_nothing() -> None:
    assert {day.share_cost for day in days_of(stats())} == {0.0}
