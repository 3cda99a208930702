"""The screens of the morning, ``report`` and ``history``: after a night, on terminals and in a pipe."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.bench import Bench, a_bench, write_json

_UNTIL_NOW = re.compile(r"to \d{4}-\d\d-\d\d \d\d:\d\d")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two hours of a night: done and landed, done on a branch, failed, and rejected."""
    bench = a_bench(tmp_path)
    landed = {"state": "landed", "target": "main", "reason": "task-queue/task-1-slug is in main"}
    ended(bench, "task-1-slug", "# Write slugify()", 10, cost=0.41, landing=landed, commits=["1" * 40])
    left = {"state": "left", "target": "main", "reason": "landing: branch leaves it for you to merge"}
    keep = "git -C /home/me/shop merge task-queue/task-2-parser"
    need = {
        "kind": "not_landed",
        "sentence": "its work is not on the target branch: its commits are only on task-queue/task-2-parser",
        "command": keep,
    }
    ended(
        bench,
        "task-2-parser",
        "# Mend the parser",
        35,
        cost=1.2,
        branch="task-queue/task-2-parser",
        landing=left,
        attention=[need],
    )
    error = "verification failed after 3 of 3 rounds: pytest -q\n3 failed, 295 passed"
    retry = "task-queue tasks retry task-3-flaky"
    ended(
        bench,
        "task-3-flaky",
        "# Find out why test_upload is flaky and mend it for good",
        80,
        cost=2.31,
        outcome="verify_failed",
        error=error,
        attention=[{"kind": "failed", "sentence": "it failed (verify_failed): pytest -q", "command": retry}],
    )
    ended(
        bench,
        "task-4-typo",
        "# \x1b[31mRed\x1b[0m",
        81,
        outcome="rejected",
        error="line 3: 'priorty' is not a key",
    )
    answer = bench.run("reindex")
    assert answer.code == 0, answer
    (state,) = (bench.home / ".local/state/task-queue").iterdir()
    (state / "ledger.jsonl").write_text(
        "".join(
            json.dumps({"at": at, "source": "ad-hoc", "task_id": task_id, "attempt": 1, "usd": usd}) + "\n"
            for at, task_id, usd in (
                ("2026-02-07T01:10:00+00:00", "task-1-slug", 0.41),
                ("2026-02-07T01:35:00+00:00", "task-2-parser", 1.2),
                ("2026-02-07T02:20:00+00:00", "task-3-flaky", 2.31),
            )
        )
    )
    return bench


def ended(
    bench: Bench,
    task_id: str,
    document: str,
    minute: int,
    *,
    cost: float | None = None,
    outcome: str = "succeeded",
    error: str = "",
    **more: Any,
) -> None:
    queue, success = bench.pending().parent, outcome == "succeeded"
    (queue / ("completed" if success else "failed") / f"{task_id}.md").write_text(f"{document}\n")
    begun, over = (f"2026-02-07T{1 + at // 60:02}:{at % 60:02}:00+00:00" for at in (minute - 9, minute))
    write_json(
        queue / "results" / f"{task_id}.json",
        {
            "task_id": task_id,
            "source": "ad-hoc",
            "success": success,
            "outcome": outcome,
            "error": error,
            "started_at": begun,
            "completed_at": over,
            "duration_ms": 540_000,
            "total_cost_usd": cost,
            "num_turns": 12,
            "state": "completed" if success else "failed",
            "output": "",
            "attempts": [],
            **more,
        },
    )
    if "attention" in more:
        write_json(queue / "results" / ".needs" / f"{task_id}.json", {})


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 24), (120, 50)])
@pytest.mark.parametrize("command", ["report", "history"])
def test_on_a_terminal(bench: Bench, command: str, columns: int, rows: int) -> None:
    answer = bench.on_a_terminal(command, "--since", "2026-02-06", columns=columns, rows=rows)

    bench.agrees_with(f"{command}-{columns}x{rows}", _UNTIL_NOW.sub("to NOW", answer.out))


@pytest.mark.parametrize("command", ["report", "history"])
def test_in_a_pipe(bench: Bench, command: str) -> None:
    answer = bench.run(command, "--since", "2026-02-06")

    assert "\x1b" not in answer.out
    bench.agrees_with(command, _UNTIL_NOW.sub("to NOW", answer.out))
