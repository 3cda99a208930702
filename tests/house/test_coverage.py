"""``python -m pytest --cov=task_queue tests/`` works with what the ``dev`` extra installs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tables import ROOT


@pytest.mark.long
def test_coverage_of_a_part_is_measured(tmp_path: Path) -> None:
    """The same command with one file of tests in the place of all."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--cov=task_queue",
            "-p",
            "no:cacheprovider",
            "tests/domain/test_text.py",
        ],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "COVERAGE_FILE": str(tmp_path / "coverage"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    measured = [line.split() for line in done.stdout.splitlines() if "domain/text.py" in line]

    assert done.returncode == 0, done.stdout + done.stderr
    assert [row[-1] for row in measured] == ["100%"]
    assert "TOTAL" in done.stdout
