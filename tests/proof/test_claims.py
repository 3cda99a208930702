"""The short form of ``make proof-claims``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.claims import prove
from tests.sampling import short_and_long


@pytest.mark.parametrize(
    ("tasks", "workers", "kills", "moves_clock"),
    short_and_long([(20, 3, 1, True)], [(60, 6, 2, True), (60, 6, 2, False)]),
)
def test_nothing_is_given_twice_or_lost_under_kills_of_the_api(
    tmp_path: Path, tasks: int, workers: int, kills: int, moves_clock: bool
) -> None:
    """And first attempts are given by priority, then age; some workers vanish with their claims, and leases end: by
    the API's clock, which is moved, or by the real one."""
    run = prove(
        tmp_path, tasks=tasks, workers=workers, kills=kills, seed=7, abandons=10, moves_clock=moves_clock
    )

    assert any(each.epoch > 1 for each in run.given)
