"""The demo, played as a person plays it: in an empty home, without an account."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def played(home: Path, *options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "task_queue.cli", "demo", *options],
        env={
            "PATH": path or os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(home),
            "PYTHONPATH": str(ROOT),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("git") is None, reason="the demo needs git")
def test_every_task_ends_as_it_has_to_and_nothing_is_left(tmp_path: Path) -> None:
    """An audited success in two rounds, a plain one, a denial, a failure in two attempts; the home is empty again."""
    done = played(tmp_path, "--json")

    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["as_expected"]
    assert {task["task_id"]: (task["outcome"], task["attempts"]) for task in report["tasks"]} == {
        "task-write-slugify": ("succeeded", 1),
        "task-publish-release": ("denied", 1),
        "task-survey-code": ("succeeded", 1),
        "task-translate-readme": ("failed", 2),
    }
    assert {commit.partition(" ")[2] for commit in report["commits"]} == {
        "Survey the code",
        "Write slugify",
        "Merge task-queue/task-write-slugify: Write slugify",
    }
    audited = report["tasks"][0]
    assert [audit.partition(",")[0] for audit in audited["audits"]] == ["fail", "pass"]
    assert audited["landed"] == "task-queue/task-write-slugify is in main (merge)"
    assert audited["report"] == "tasks/ad-hoc/reports/task-write-slugify.md"
    assert list(tmp_path.iterdir()) == []


def test_without_git_it_says_what_to_do(tmp_path: Path) -> None:
    """A sentence and a hint, and no scratch folder."""
    done = played(tmp_path, path=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.startswith("error: the demo needs git")
    assert list(tmp_path.iterdir()) == []
