"""The hours in which a source starts tasks: what may be written, what it means, and when they begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.holds import outside_hours
from task_queue.domain.hours import Hours, hours_of, span_of
from tests.domain.test_local_time import HAVANA, NEW_YORK, local_zone

NIGHT = hours_of(["22:00-06:00"], [])
MINUTE = timedelta(minutes=1)
CHANGES = {
    NEW_YORK: (datetime(2027, 3, 14, tzinfo=UTC), datetime(2027, 11, 7, tzinfo=UTC)),
    HAVANA: (datetime(2027, 3, 14, tzinfo=UTC), datetime(2027, 11, 7, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2027, 4, 3, tzinfo=UTC), datetime(2027, 10, 2, tzinfo=UTC)),
}
"""Days on which the clocks are set there; in the last by half an hour."""


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


@pytest.mark.parametrize(
    ("windows", "quiet", "at", "opens"),
    [
        (["22:00-06:00"], [], "2026-02-07T21:59", "2026-02-07T22:00"),
        (["22:00-06:00"], [], "2026-02-07T22:00", "2026-02-07T22:00"),
        (["22:00-06:00"], [], "2026-02-08T05:59", "2026-02-08T05:59"),
        (["22:00-06:00"], [], "2026-02-08T06:00", "2026-02-08T22:00"),
        (["fri 22:00-06:00"], [], "2026-02-07T03:00", "2026-02-07T03:00"),
        (["fri 22:00-06:00"], [], "2026-02-07T23:00", "2026-02-13T22:00"),
        (["22:00-06:00", "sat,sun 00:00-24:00"], [], "2026-02-07T12:00", "2026-02-07T12:00"),
        (["22:00-06:00", "SAT,SUN  00:00-24:00"], [], "2026-02-09T12:00", "2026-02-09T22:00"),
        (["fri-mon 09:00-17:00"], [], "2026-02-10T10:00", "2026-02-13T09:00"),
        (["18:00-24:00"], [], "2026-02-07T23:59", "2026-02-07T23:59"),
        ([], ["mon-fri 09:00-17:00"], "2026-02-09T09:00", "2026-02-09T17:00"),
        (["08:00-18:00"], ["mon-fri 08:00-18:00"], "2026-02-09T09:00", "2026-02-14T08:00"),
    ],
)
def test_when_it_is_open(windows: list[str], quiet: list[str], at: str, opens: str) -> None:
    hours = hours_of(windows, quiet)

    assert hours.opens_at(local(at)) == local(opens)
    assert hours.is_open(local(at)) == (at == opens)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("22-06", "must be hours such as"),
        ("22:00", "must be hours such as"),
        ("", "must be hours such as"),
        ("22:00-06:00 mon", "must be hours such as"),
        ("25:00-06:00", "'25:00' in"),
        ("22:60-06:00", "'22:60' in"),
        ("22:00-24:01", "'24:01' in"),
        ("22:00-22:00", "begins when it ends"),
        ("24:00-06:00", "begins when it ends"),
        ("mo 22:00-06:00", "'mo' in"),
        ("mon-funday 22:00-06:00", "'mon-funday' in"),
        ("mon, 22:00-06:00", "'' in"),
    ],
)
def test_what_cannot_be_used_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        span_of(text)


def test_hours_that_never_begin_are_refused() -> None:
    with pytest.raises(ValueError, match="no task would ever start"):
        hours_of(["22:00-06:00"], ["21:00-07:00"])


def test_the_hold_says_when_it_ends() -> None:
    held = outside_hours(NIGHT, local("2026-02-07T12:00"))

    assert held is not None
    assert held.why == "outside the hours of the source: it starts nothing before 2026-02-07 22:00"
    assert held.until == local("2026-02-07T22:00")
    assert outside_hours(NIGHT, local("2026-02-07T23:00")) is None
    assert outside_hours(None, local("2026-02-07T12:00")) is None


@pytest.mark.parametrize("zone", list(CHANGES))
@pytest.mark.parametrize("text", ["02:15-02:45", "02:30-06:00", "00:00-02:10", "23:30-00:30", "01:30-02:00"])
def test_they_are_what_the_clock_shows_when_the_clocks_change(zone: str, text: str) -> None:
    """Minute by minute: open when the clock shows such a time, and announced for the first minute that is."""
    with local_zone(zone):
        for day in CHANGES[zone]:
            hours = hours_of([text], [])
            minutes = [day + number * MINUTE for number in range(-600, 2400)]
            assert [hours.is_open(at) for at in minutes] == [_shows(text, at) for at in minutes]
            open_at = [at for at in minutes if hours.is_open(at)]
            for at in minutes[: -24 * 60 : 17]:
                assert hours.opens_at(at) == next(each for each in open_at if each >= at)


def _shows(text: str, at: datetime) -> bool:
    begins, _, ends = text.partition("-")
    shown = f"{at.astimezone():%H:%M}"
    return begins <= shown < ends if begins < ends else shown >= begins or shown < ends


_DAYS = st.sampled_from(["", "mon ", "sat,sun ", "mon-fri ", "fri-mon ", "tue,thu-sat "])
_CLOCKS = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 59]))
_SPANS = st.builds("{}{}-{}".format, _DAYS, _CLOCKS, _CLOCKS).filter(lambda text: text[-11:-6] != text[-5:])


@given(windows=st.lists(_SPANS, max_size=3), quiet=st.lists(_SPANS, max_size=2), start=st.integers(0, 10_000))
def test_it_opens_at_the_first_minute_that_is_open(windows: list[str], quiet: list[str], start: int) -> None:
    hours = Hours(tuple(map(span_of, windows)), tuple(map(span_of, quiet)))
    now = datetime(2026, 2, 7, tzinfo=UTC) + start * MINUTE
    opens = hours.opens_at(now)

    if opens is None:
        assert not hours.is_ever_open()
        return
    assert hours.is_open(opens)
    assert not any(hours.is_open(now + number * MINUTE) for number in range(0, (opens - now) // MINUTE, 7))
