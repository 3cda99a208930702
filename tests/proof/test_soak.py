"""The soak in short; the long form is ``make soak MINUTES=n``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.soak import soak


@pytest.mark.timeout(300)
def test_a_short_soak_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Random kills of daemons and runners, cancels and restarts over twenty seconds."""
    run, problems = soak(tmp_path / "home", seconds=20, tasks_per_second=2, seed=7)

    assert problems == [], run.report(problems)
    assert run.kills > 0
