"""The soak in short; the long form is ``make soak MINUTES=n``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.soak import soak
from tests.sampling import short_and_long


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", short_and_long([8], [20]))
def test_a_short_soak_loses_and_doubles_nothing(tmp_path: Path, seconds: int) -> None:
    """Random kills of daemons and runners, cancels and restarts all the time."""
    run, problems = soak(tmp_path / "home", seconds=seconds, tasks_per_second=2, seed=7)

    assert problems == [], run.report(problems)
    assert run.kills > 0
