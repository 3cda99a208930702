"""How long a task will take and cost, by others of its type and source, or by the published table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from task_queue.domain.document.choices import WorkType
from task_queue.domain.estimates import ENOUGH, MINUTES, MOST, P90_FACTOR, Estimate, estimate
from task_queue.domain.statistics import EndRecord

NOON = datetime(2026, 2, 7, 12, tzinfo=UTC)


def end(
    seconds: float,
    *,
    outcome: str = "succeeded",
    usd: float | None = 1.0,
    phases: Mapping[str, float] | None = None,
) -> EndRecord:
    return EndRecord(
        at=NOON, source="a", task_id="task-a", attempt=1, state="completed", outcome=outcome,
        ran_ms=int(seconds * 1000), cost_usd=usd, seconds_by_phase=phases or {},
    )  # fmt: skip


def of(*ends: EndRecord, task_type: str = "coding", executor: str = "claude", length: int = 1000) -> Estimate:
    return estimate(ends, task_type=task_type, executor=executor, length=length)


def test_five_tasks_count_for_more_than_the_table() -> None:
    found = of(*(end(60 * number, usd=number) for number in (5, 1, 4, 2, 3)))

    assert (found.median_s, found.p90_s) == (180, 300)
    assert (found.median_usd, found.p90_usd) == (3, 5)
    assert (found.samples, found.is_guess) == (5, False)


def test_four_do_not() -> None:
    found = of(*(end(60) for _ in range(ENOUGH - 1)))

    assert (found.median_s, found.samples, found.is_guess) == (15 * 60, 0, True)
    assert found.p90_s == found.median_s * P90_FACTOR


@pytest.mark.parametrize("outcome", ["cancelled", "rejected"])
def test_what_never_ran_to_its_end_says_nothing(outcome: str) -> None:
    assert of(*(end(60, outcome=outcome) for _ in range(ENOUGH))).is_guess
    assert of(*(end(0) for _ in range(ENOUGH))).is_guess


def test_what_failed_took_its_time_too() -> None:
    assert not of(*(end(60, outcome="verify_failed") for _ in range(ENOUGH))).is_guess


def test_the_newest_count() -> None:
    assert of(*(end(60) for _ in range(MOST)), *(end(6000) for _ in range(1000))).p90_s == 60


@pytest.mark.parametrize("task_type", list(WorkType))
def test_the_table_goes_by_type_and_length(task_type: WorkType) -> None:
    found = [of(task_type=task_type, length=length).median_s / 60 for length in (10, 1000, 10_000)]

    assert found == list(MINUTES[task_type])
    assert of(task_type=task_type, executor="make").median_usd == 0.0


def test_a_cost_that_no_one_reported_is_unknown() -> None:
    assert of(*(end(60, usd=None) for _ in range(ENOUGH))).median_usd is None


def test_phases_are_the_usual_ones_with_all_their_rounds() -> None:
    rounds = {"implement 1": 10.0, "implement 2": 5.0, "verify 1": 2.0}
    ends = [*(end(20, phases=rounds) for _ in range(4)), end(20, phases={"implement 1": 15.0, "land": 9.0})]

    assert of(*ends).seconds_by_phase == {"implement": 15.0, "verify": 2.0}
