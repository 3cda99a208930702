"""Whether anything starts by itself, from what every source waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from task_queue.domain.holds import Held
from task_queue.domain.standstill import Standstill, standstill_of

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
LATER, SOON = NOW + timedelta(days=400), NOW + timedelta(minutes=5)
PERSON = Held("nobody is logged in", SOON, needs_person=True)
LIMIT = Held("usage limit", SOON)
TOMORROW = Held("task-a is delayed", LATER)
PLACES = Held("all places are taken")


@pytest.mark.parametrize(
    ("waits", "standstill"),
    [
        ((), Standstill()),
        ((PERSON,), Standstill()),
        ((PERSON, TOMORROW, LIMIT), Standstill(SOON, "usage limit")),
        ((TOMORROW, PERSON), Standstill(LATER, "task-a is delayed")),
        ((PERSON, PLACES), None),
        ((LIMIT, None), None),
    ],
    ids=[
        "nothing is left",
        "a time at which only the same is tried again is none",
        "the earliest time",
        "what needs a person ends no wait",
        "what runs will end",
        "a task that nothing holds",
    ],
)
def test_a_standstill(waits: tuple[Held | None, ...], standstill: Standstill | None) -> None:
    assert standstill_of(waits) == standstill
