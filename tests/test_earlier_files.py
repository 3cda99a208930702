"""Files of earlier releases load: a sample of each in ``tests/data``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from task_queue.platform.records import decode
from task_queue.store.folder.records import LockFile, lock_bytes
from tests.cli.bench import Bench, a_bench

BEFORE = Path(__file__).parent / "data" / "before-0.1.0"
TASK = "task-20260207-120000-fix-auth"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def test_a_lock_whose_thread_is_a_number_loads() -> None:
    """Published again, the thread's id is text."""
    claim = decode(LockFile, (BEFORE / "lock.json").read_bytes()).claim

    assert (claim.task_id, claim.attempt) == (TASK, 1)
    assert b'"thread_id": "140213"' in lock_bytes(claim)


def test_a_lock_whose_thread_is_a_number_is_shown_as_running(bench: Bench) -> None:
    (bench.pending() / f"{TASK}.md").write_text("# Fix\n")
    shutil.copy(BEFORE / "lock.json", bench.pending() / f".{TASK}.lock")

    assert bench.run("tasks", "show", TASK, "--json").json["state"] == "running"


def test_a_result_whose_error_is_null_is_shown(bench: Bench) -> None:
    """By ``show`` and by ``list``; its absence of an error is not printed as a word."""
    queue = bench.pending().parent
    (queue / "completed" / f"{TASK}.md").write_text("# Fix\n")
    shutil.copy(BEFORE / "result.json", queue / "results" / f"{TASK}.json")

    shown = bench.run("tasks", "show", TASK)
    listed = bench.run("tasks", "list")

    assert (shown.code, listed.code) == (0, 0)
    assert "I fixed it." in shown.out
    assert "None" not in shown.out + listed.out
