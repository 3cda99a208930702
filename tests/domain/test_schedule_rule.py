"""When a schedule is due, above all where the clocks change: the rules of cronsim, which are those of Debian's cron."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_queue.domain.schedule.rule import Rule, rule_of
from tests.domain.test_local_time import NEW_YORK, local_zone

SPRING, AUTUMN = datetime(2027, 3, 14, 5, tzinfo=UTC), datetime(2027, 11, 7, 4, tzinfo=UTC)
"""Midnight in New York on the days on which the clocks are set."""


def shown(rule: Rule, after: datetime, count: int) -> list[str]:
    with local_zone(NEW_YORK):
        return [f"{due.astimezone():%d %H:%M %z}" for due in islice(rule.times(after), count)]


@pytest.mark.parametrize("zone", ["", NEW_YORK], ids=["the machine's zone", "a named zone"])
@pytest.mark.parametrize(
    ("expression", "after", "times"),
    [
        ("30 2 * * *", SPRING, ["14 03:00 -0400", "15 02:30 -0400"]),  # 02:30 does not exist
        ("0,30 2 * * *", SPRING, ["14 03:00 -0400", "15 02:00 -0400"]),  # both are that one time
        (
            "*/30 2 * * *",
            SPRING,
            ["15 02:00 -0400", "15 02:30 -0400"],
        ),  # a wildcard: what does not exist is not due
        ("30 * * * *", SPRING + timedelta(hours=1), ["14 01:30 -0500", "14 03:30 -0400"]),
        ("30 1 * * *", AUTUMN, ["07 01:30 -0400", "08 01:30 -0500"]),  # exists twice: the first one
        ("30 * * * *", AUTUMN, ["07 00:30 -0400", "07 01:30 -0400", "07 01:30 -0500", "07 02:30 -0500"]),
        ("30 1 * * *", AUTUMN + timedelta(hours=2), ["08 01:30 -0500"]),  # asked within the second one
    ],
)
def test_where_the_clocks_change(zone: str, expression: str, after: datetime, times: list[str]) -> None:
    with local_zone(NEW_YORK):
        assert shown(rule_of(expression, timezone=zone), after, len(times)) == times


@settings(max_examples=40, deadline=None)
@given(
    expression=st.sampled_from(
        ["30 2 * * *", "0,30 1,2 * * *", "*/20 * * * *", "15 * * * *", "0 0 * * *", "* 1 * * *"]
    ),
    zone=st.sampled_from([NEW_YORK, "America/Havana", "Australia/Lord_Howe", "Europe/London"]),
    day=st.sampled_from(["2027-03-13", "2027-03-27", "2027-04-03", "2027-10-02", "2027-10-30", "2027-11-06"]),
    minutes=st.lists(st.integers(0, 3 * 24 * 60), max_size=5),
)
def test_times_do_not_depend_on_when_one_asks(
    expression: str, zone: str, day: str, minutes: list[int]
) -> None:
    """Looks at any moments find together what one look finds: none is left out, and none comes twice."""
    rule = rule_of(expression, timezone=zone)
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    looks = [*sorted(start + timedelta(minutes=minute) for minute in minutes), start + timedelta(days=3)]
    found: list[datetime] = []
    for after, now in zip([start, *looks], looks, strict=False):
        found += rule.between(after, now).times

    assert found == list(rule.between(start, looks[-1]).times)
    assert found == sorted(set(found))


def test_until_includes_its_whole_day_in_the_zone_of_the_schedule() -> None:
    rule = rule_of("0 12,23 * * *", timezone="Asia/Tokyo", until="2026-02-08")

    times = list(rule.times(datetime(2026, 2, 7, 12, tzinfo=UTC)))

    assert [f"{due:%d %H}" for due in times] == ["07 14", "08 03", "08 14"]


def test_an_until_with_a_time_is_included_itself() -> None:
    rule = rule_of("0 * * * *", timezone="UTC", until="2026-02-07T14:00")

    assert len(list(rule.times(datetime(2026, 2, 7, 12, 30, tzinfo=UTC)))) == 2


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"expression": "* * * *"}, "must be five fields"),
        ({"expression": "* * * * * *"}, "must be five fields"),
        ({"expression": "@daily"}, "must be five fields"),
        ({"expression": "61 * * * *"}, "bad minute in '61"),
        ({"expression": "0 0 31 2 *"}, "bad day-of-month"),
        ({"expression": "1," * 150 + "1 * * * *"}, "must be five fields"),
        ({"timezone": "Nowhere/Here"}, "there is no time zone 'Nowhere/Here'"),
        ({"timezone": "../../etc/passwd"}, "there is no time zone"),
        ({"timezone": "America"}, "there is no time zone"),
        ({"timezone": "a\0b"}, "there is no time zone"),
        ({"until": "soon"}, "must be a date such as 2026-12-31"),
        ({"until": "9999-12-31", "timezone": NEW_YORK}, "out of range"),
    ],
)
def test_what_cannot_be_used_is_said(keys: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        rule_of(**{"expression": "* * * * *", **keys})  # type: ignore[arg-type]  # texts of these keys
