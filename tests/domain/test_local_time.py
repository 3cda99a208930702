"""Local times around a change of the clocks, in New York and in Havana, where it happens at midnight."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from task_queue.domain.document.readers import Moment
from task_queue.domain.local_time import instant_of, next_midnight

NEW_YORK, HAVANA = "America/New_York", "America/Havana"


@contextmanager
def local_zone(name: str) -> Generator[None, None, None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2027-03-14T02:30:00", "2027-03-14T07:30"),  # does not exist: 03:30 of that day
        ("2027-03-14T01:59:00", "2027-03-14T06:59"),
        ("2027-03-14T03:00:00", "2027-03-14T07:00"),
        ("2027-11-07T01:30:00", "2027-11-07T06:30"),  # exists twice: the second one
        ("2027-11-07T00:30:00", "2027-11-07T04:30"),
        ("2027-11-07T02:00:00", "2027-11-07T07:00"),
        ("2027-11-07T01:30:00-04:00", "2027-11-07T05:30"),
        ("2027-03-14T02:30:00Z", "2027-03-14T02:30"),
    ],
)
def test_an_earliest_start_is_never_too_early(local: str, utc: str) -> None:
    with local_zone(NEW_YORK):
        assert Moment()(local) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "now", "midnight"),
    [
        (NEW_YORK, "2027-03-14T06:00", "2027-03-15T04:00"),  # a day of 23 hours
        (NEW_YORK, "2027-11-07T05:00", "2027-11-08T05:00"),  # a day of 25 hours
        (NEW_YORK, "2027-06-01T12:00", "2027-06-02T04:00"),
        (HAVANA, "2027-03-13T18:00", "2027-03-14T05:00"),  # 00:00 does not exist
        (HAVANA, "2027-11-06T18:00", "2027-11-07T05:00"),  # 00:00 exists twice
    ],
)
def test_a_daily_budget_is_renewed_when_the_local_day_is_over(zone: str, now: str, midnight: str) -> None:
    with local_zone(zone):
        found = next_midnight(datetime.fromisoformat(now).replace(tzinfo=UTC))

    assert found == datetime.fromisoformat(midnight).replace(tzinfo=UTC)


def test_no_minute_of_a_year_is_read_as_earlier_than_it_is() -> None:
    """Every quarter of an hour that a clock in New York shows is read as that moment, or as its repetition."""
    with local_zone(NEW_YORK):
        at = datetime(2027, 1, 1, tzinfo=UTC)
        while at.year == 2027:
            shown = at.astimezone().replace(tzinfo=None, fold=0)
            assert timedelta() <= instant_of(shown) - at <= timedelta(hours=1)
            at += timedelta(minutes=15)
