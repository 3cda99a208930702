"""Files of earlier releases load: a sample of each in ``tests/data``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.document.choices import Isolation
from task_queue.domain.model import Ending, Journal, Result
from task_queue.platform.records import decode, encode
from task_queue.store.folder.records import LockFile, RunFile, lock_bytes
from tests.cli.bench import Bench, a_bench

BEFORE = Path(__file__).parent / "data" / "before-0.1.0"
TASK = "task-20260207-120000-fix-auth"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lock", LockFile),
        ("run", RunFile),
        ("journal", Journal),
        ("outcome", Ending),
        ("result", Result),
        ("result-failed", Result),
    ],
)
def test_every_kind_of_file_loads(name: str, kind: type[Any]) -> None:
    """And is the same value when it is written again as this release writes it."""
    earlier = decode(kind, (BEFORE / f"{name}.json").read_bytes())

    assert earlier.task_id == TASK
    assert decode(kind, encode(earlier)) == earlier


def test_a_result_is_written_as_it_always_was() -> None:
    """Every key, flat, in the same order; a result is read by more programs than ours."""
    data = (BEFORE / "result-failed.json").read_bytes()

    # Since then a result also says what needs a person, and what failed before the task began.
    newer = b' "attention": [],\n "baseline": null,\n'
    assert encode(decode(Result, data)).replace(newer, b"", 1) == data


def test_an_outcome_keeps_what_the_work_came_to() -> None:
    """It was called the work's delivery."""
    data = (BEFORE / "outcome.json").read_bytes()
    product = decode(Ending, data).work.product

    assert product is not None
    assert (product.isolation, product.branch) == (Isolation.WORKTREE, "task-queue/fix-auth")
    now = json.loads(encode(decode(Ending, data)))
    product_now = now["work"].pop("product")
    assert (product_now.pop("uncommitted"), product_now.pop("baseline")) == ([], None)  # newer than the file
    delivery = json.loads(data)["work"]["delivery"]
    assert product_now.pop("by_queue") == [delivery.pop("ours")]
    assert product_now == delivery


def test_a_result_whose_error_is_null_has_no_error() -> None:
    assert decode(Result, (BEFORE / "result.json").read_bytes()).error == ""


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
