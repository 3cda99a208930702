"""Files of earlier releases load: a sample of each in ``tests/data``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.attempt.account import Account
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

    # Since then a result also says what needs a person, what failed before the task began, how it landed, what
    # changed, what each attempt used, and which rounds failed.
    of_attempts = b',\n   "model_usage": {},\n   "session_model_usage": {}'
    since = (
        encode(decode(Result, data))
        .replace(b',\n   "returned": false,\n   "note": "",\n   "model": null', b"")
        .replace(of_attempts, b"")
    )
    newer = b' "attention": [],\n "baseline": null,\n "landing": null,\n'
    newer += b' "subjects": [],\n "stat": "",\n "files": [],\n "file_count": 0,\n "uncommitted": [],\n'
    newer += b' "task_type": null,\n "executor": null,\n "waited_ms": null,\n "failed_rounds": [],\n'
    assert since.replace(newer, b"", 1) == data


def test_a_history_without_returns_has_none() -> None:
    """Releases before kept none, and a task of theirs is tried again."""
    journal = decode(Journal, (BEFORE / "journal.json").read_bytes())

    assert journal.needs_person == ""
    assert not any(attempt.returned for attempt in journal.attempts)


def test_the_state_of_an_account_without_models_loads() -> None:
    """As releases before wrote it."""
    data = b'{"paused_until": "2026-02-07T12:00:00+00:00", "why": "limit", "guesses": 1, "schema_version": 1}'

    account = decode(Account, data)

    assert (account.why, account.models) == ("limit", {})


def test_an_outcome_keeps_what_the_work_came_to() -> None:
    """It was called the work's delivery."""
    data = (BEFORE / "outcome.json").read_bytes()
    product = decode(Ending, data).work.product

    assert product is not None
    assert (product.isolation, product.branch) == (Isolation.WORKTREE, "task-queue/fix-auth")
    now = json.loads(encode(decode(Ending, data)))
    product_now = now["work"].pop("product")
    newer: dict[str, object] = {
        "uncommitted": [],
        "unwanted": [],
        "too_many": "",
        "repository_changes": [],
        "baseline": None,
        "landing": None,
        "changes_expected": True,
        "failed_rounds": [],
    }
    assert {key: product_now.pop(key) for key in newer} == newer
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


def test_reindex_tells_of_results_of_every_release(bench: Bench) -> None:
    """Those of the original system, too; a cursor from before is answered, and nothing of them needs a person."""
    original = {  # as its README shows it, with times that have no offset
        "success": False,
        "output": "",
        "error": "Timed out",
        "task_id": "task-20260206-080000-original",
        "started_at": "2026-02-06T08:00:00.123456",
        "completed_at": "2026-02-06T08:00:09.123456",
        "duration_ms": 9000,
        "duration_api_ms": 8000,
        "total_cost_usd": 0.1,
        "usage": {},
        "session_id": "s",
        "num_turns": 3,
    }
    assert bench.run("sources", "pause", "--source-id", "planned").code == 0  # noted in the log
    before = json.loads(bench.run("events", "--json").out.splitlines()[-1])["cursor"]
    ad_hoc, planned = bench.pending().parent, bench.pending("planned").parent
    shutil.copy(BEFORE / "result.json", ad_hoc / "results" / f"{TASK}.json")
    (ad_hoc / "results" / f"{original['task_id']}.json").write_text(json.dumps(original))
    shutil.copy(BEFORE / "result-failed.json", planned / "results" / f"{TASK}.json")

    done = bench.run("reindex")
    assert (done.out, done.err) == ("rebuilt: 3 settled events\n", "")
    reset, *events = map(json.loads, bench.run("events", "--json", "--after", before).out.splitlines())
    settled = [event for event in events if event["type"] == "settled"]

    assert reset["type"] == "cursor_reset"
    assert [(event["task_id"], event["source"], event["attempt"]) for event in settled] == [
        (original["task_id"], "ad-hoc", 1),
        (TASK, "planned", 2),
        (TASK, "ad-hoc", 1),
    ]
    assert [
        (event["data"]["state"], event["data"]["outcome"], event["data"]["took"]) for event in settled
    ] == [
        ("failed", "failed", 9.0),
        ("failed", "audit_rejected", 60.0),
        ("completed", "succeeded", 600.0),
    ]
    assert [event["data"]["attention"] for event in settled] == [[], [], []]
    assert not (ad_hoc / "results/.attention").exists()
    again = bench.run("events", "--json", "--after", reset["cursor"]).out.splitlines()
    assert [json.loads(line) for line in again] == events
