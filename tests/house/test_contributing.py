"""The test that CONTRIBUTING.md prints works when it is typed as printed, and can fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tables import ROOT

_RUN = re.compile(r"<!-- run by tests/house/test_contributing.py -->\n```sh\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize(
    ("priority", "code"), [("9", 0), ("1", 1)], ids=["as printed", "changed as it suggests"]
)
def test_the_printed_test_runs(tmp_path: Path, priority: str, code: int) -> None:
    """In a copy of what it needs, so that the checkout stays as it is."""
    (printed,) = _RUN.findall((ROOT / "CONTRIBUTING.md").read_text())
    for name in ("pyproject.toml", "task_queue"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "tests" / "daemon").mkdir(parents=True)
    for path in (ROOT / "tests").iterdir():
        if path.name != "daemon":
            (tmp_path / "tests" / path.name).symlink_to(path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o700)

    assert printed.count("priority: 9") == 1
    done = subprocess.run(
        ["sh", "-e", "-c", printed.replace("priority: 9", f"priority: {priority}")],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == code, done.stdout + done.stderr
    assert f"1 {'passed' if code == 0 else 'failed'}" in done.stdout
