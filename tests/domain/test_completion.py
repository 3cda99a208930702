"""How far an attempt has come: never falling, never 100 before the end, unknown where too little is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.attempt.completion import percent_done
from task_queue.domain.attempt.current_phase import PHASE, CurrentPhase
from task_queue.domain.estimates import Estimate

NOON = datetime(2026, 2, 7, 12, tzinfo=UTC)
PHASES = {"prepare": 10.0, "implement": 60.0, "verify": 10.0, "audit": 15.0, "commit": 1.0, "land": 4.0}
KNOWN = Estimate(100, 200, 1.0, 2.0, 9, PHASES)
ROUNDS = [
    "prepare",
    "implement 1",
    "verify 1",
    "implement 2",
    "verify 2",
    "audit 2",
    "implement 3",
    "audit 3",
    "commit",
    "land",
]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def phase(name: str, since: float) -> CurrentPhase:
    found = CurrentPhase()
    found.add("note", {"type": PHASE, "phase": name, "rounds": 3}, at(since))
    return found


def test_each_phase_begins_where_those_before_it_end() -> None:
    assert percent_done(phase("prepare", 0), KNOWN, since=NOON, now=at(5)) == 5
    assert percent_done(phase("implement 1", 90), KNOWN, since=NOON, now=at(120)) == 40
    assert percent_done(phase("land", 0), KNOWN, since=NOON, now=at(0)) == 96


def test_a_phase_that_takes_longer_stays_below_its_end() -> None:
    assert percent_done(phase("implement 1", 0), KNOWN, since=NOON, now=at(9999)) == 67


def test_a_command_goes_by_its_time_alone() -> None:
    by_time = Estimate(100, 200, 0.0, 0.0, 9)

    assert percent_done(None, by_time, since=NOON, now=at(50)) == 50
    assert percent_done(None, by_time, since=NOON, now=at(9999)) == 95


def test_a_guess_says_nothing() -> None:
    assert percent_done(phase("implement 1", 0), Estimate(1, 3, 0.1, 0.3, 0), since=NOON, now=at(1)) is None
    assert percent_done(None, KNOWN, since=NOON, now=at(1)) is None
    assert percent_done(CurrentPhase(), KNOWN, since=NOON, now=at(1)) is None


@given(
    st.lists(st.floats(0, 300), min_size=len(ROUNDS), max_size=len(ROUNDS)),
    st.dictionaries(st.sampled_from(list(PHASES)), st.floats(0.1, 500), min_size=1),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
)
def test_it_never_falls_and_is_never_100(
    took: list[float], expected: dict[str, float], looks: list[float]
) -> None:
    """Over all rounds, however long each phase takes, and whatever others took."""
    known = Estimate(100, 200, 1.0, 2.0, 9, expected)
    seen: list[int] = []
    begun = 0.0
    for name, seconds in zip(ROUNDS, took, strict=True):
        for look in sorted(looks):
            found = percent_done(phase(name, begun), known, since=NOON, now=at(begun + look * seconds))
            assert found is not None
            seen.append(found)
        begun += seconds

    assert seen == sorted(seen)
    assert all(0 <= each < 100 for each in seen)
