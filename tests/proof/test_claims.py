"""The short form of ``make proof-claims``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.claims import prove


@pytest.mark.long
def test_nothing_is_given_twice_or_lost_under_kills_of_the_api(tmp_path: Path) -> None:
    """And first attempts are given by priority, then age; some workers vanish with their claims."""
    run = prove(tmp_path, tasks=60, workers=6, kills=2, seed=7, abandons=20)

    assert any(each.epoch > 1 for each in run.given)
