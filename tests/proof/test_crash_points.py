"""The short form of the crash-point enumeration; ``make proof-crash`` is the long one."""

from __future__ import annotations

import pytest

from tests.proof.crash_points import SCENARIOS, enumerate_points
from tests.proof.tracer import why_not_here
from tests.sampling import short_and_long

pytestmark = pytest.mark.skipif(bool(why_not_here()), reason=str(why_not_here()))
ONCE = next(scenario for scenario in SCENARIOS if scenario.name == "once")


@pytest.mark.parametrize(
    ("actor", "first", "every"),
    short_and_long([("daemon", 35, 10), ("runner", 3, 7)], [("daemon", 35, 5)]),
)
def test_a_kill_at_any_call_loses_and_doubles_nothing(actor: str, first: int, every: int) -> None:
    """A sample of the steps of both, the daemon's from the claim on."""
    points = enumerate_points((ONCE,), actors=(actor,), every=every, second=None, first=first)

    assert len(points) >= 3
    assert [(str(point), point.problems) for point in points if point.problems] == []
