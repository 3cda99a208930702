"""How long a failed task waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.attempt.retry import CAP, Delay, delay_after

FIRST = timedelta(seconds=30)
NOON = datetime(2026, 2, 7, 12, tzinfo=UTC)


def test_each_failure_doubles_the_wait() -> None:
    delays = [delay_after(attempt, first=FIRST, jitter=0.0) for attempt in (1, 2, 3, 4)]

    assert delays == [FIRST, FIRST * 2, FIRST * 4, FIRST * 8]


def test_jitter_lengthens_the_wait_by_up_to_half() -> None:
    assert delay_after(1, first=FIRST, jitter=0.5) == FIRST * 1.25


def test_no_delay_stays_no_delay() -> None:
    assert delay_after(50, first=timedelta(), jitter=0.9) == timedelta()


@given(
    attempt=st.integers(min_value=1, max_value=10**9),
    first=st.timedeltas(min_value=timedelta(), max_value=timedelta(days=400)),
    jitter=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_the_wait_is_never_longer_than_the_cap_nor_shorter_than_the_first(
    attempt: int, first: timedelta, jitter: float
) -> None:
    """A thousand failures overflow nothing."""
    delay = delay_after(attempt, first=first, jitter=jitter)

    assert min(first, CAP) <= delay <= CAP


def test_a_wait_ends_at_its_time() -> None:
    delay = Delay(NOON, NOON + FIRST)

    assert delay.ends_at(NOON) == NOON + FIRST
    assert delay.ends_at(NOON + FIRST) is None


def test_a_clock_set_a_little_back_lengthens_the_wait_by_as_much() -> None:
    """As when the time is synchronised."""
    delay = Delay(NOON, NOON + FIRST)

    assert delay.ends_at(NOON - timedelta(seconds=2)) == NOON + FIRST


@given(
    wait=st.timedeltas(min_value=timedelta(), max_value=CAP),
    back=st.timedeltas(min_value=timedelta(), max_value=timedelta(days=2)),
)
def test_a_clock_set_back_at_most_doubles_the_wait(wait: timedelta, back: timedelta) -> None:
    """However far."""
    now = NOON - back
    ends_at = Delay(NOON, NOON + wait).ends_at(now)

    assert ends_at is None or ends_at - now <= 2 * wait
