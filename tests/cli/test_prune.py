"""``prune``: what would go and how much, what goes, and what is kept and why."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId
from task_queue.store.folder.layout import Layout
from tests.cli.bench import Bench, a_bench
from tests.store.ended import an_end, files_of

_NEED = {"kind": "denied", "sentence": "the agent was denied: Bash", "command": "task-queue tasks show x"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """One result that may go, and one that needs a person."""
    bench = a_bench(tmp_path)
    layout = Layout(bench.pending())
    layout.create()
    for name, needs in (("task-done", []), ("task-denied", [_NEED])):
        task_id = an_end(layout, name, attention=needs)
        at = (datetime.now(UTC) - timedelta(days=31)).timestamp()
        os.utime(layout.result(task_id), (at, at))
    return bench


def limit(bench: Bench) -> None:
    content = json.loads(bench.config.read_text())
    bench.config.write_text(json.dumps({**content, "retention": {"results": {"age": "30d"}}}))


def test_nothing_goes_until_it_is_configured(bench: Bench) -> None:
    assert "Nothing is limited" in bench.run("prune").out
    assert bench.run("prune", "--json").json["configured"] is False
    assert files_of(Layout(bench.pending()), TaskId("task-done"))


def test_a_dry_run_tells_what_the_next_removes(bench: Bench) -> None:
    limit(bench)
    would = bench.run("prune", "--dry-run", "--json").json
    size = sum(path.stat().st_size for path in files_of(Layout(bench.pending()), TaskId("task-done")))

    assert [(each["kind"], each["name"]) for each in would["removed"]] == [("results", "task-done")]
    assert (would["size_bytes"], would["dry_run"]) == (size, True)
    assert [each["why_kept"] for each in would["kept"]] == ["it needs a person: denied"]
    assert "would remove results ad-hoc/task-done" in bench.run("prune", "--dry-run").out
    done = bench.run("prune")
    assert "removed results ad-hoc/task-done" in done.out
    assert "kept results ad-hoc/task-denied: it needs a person: denied" in done.out
    assert bench.run("prune", "--json").json["removed"] == []


def test_other_commands_know_a_task_whose_files_are_gone(bench: Bench) -> None:
    """It ended: none says that there was no such task."""
    limit(bench)
    bench.run("prune")
    shown = bench.run("tasks", "show", "task-done")
    waited = bench.run("tasks", "wait", "task-done", "--timeout", "5")
    retried = bench.run("tasks", "retry", "task-done")
    checked = bench.pending().parent / "staging" / "task-next.md"
    checked.write_text("---\ndepends_on: [task-done]\n---\n# Next\n")

    assert "completed" in shown.out + shown.err
    assert waited.code == 0
    assert retried.code == 1
    assert "there is no task" not in bench.run("tasks", "check", str(checked)).out
    assert "there is no task" not in shown.err + waited.err + retried.err
