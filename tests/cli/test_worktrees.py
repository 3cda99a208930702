"""``worktrees``: what is kept and why, where it is, and what may go."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from task_queue.config.locations import locate
from task_queue.domain.task import TaskId
from task_queue.git.program import Git
from task_queue.git.worktree import create
from tests.cli.bench import Bench, a_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """One checkout that may go, one with a person's file, and one whose task will be tried again."""
    bench = a_bench(tmp_path)
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Person\n\temail = p@example.org\n")
    for command in (["init", "-qb", "main"], ["commit", "-q", "--allow-empty", "-m", "First"]):
        subprocess.run(["git", *command], cwd=bench.project, env=bench.environ, check=True)
    for name in ("task-done", "task-edited", "task-waits"):
        create(Git(bench.project, bench.environ), TaskId(name), directory=tree(bench, name), base="main")
    (tree(bench, "task-edited") / "mine.txt").write_text("mine\n")
    (bench.pending().parent / "failed" / "task-done.md").write_text("# Done\n")
    journal = bench.pending() / ".task-waits.attempts.json"
    journal.write_text(json.dumps({"task_id": "task-waits"}))
    return bench


def tree(bench: Bench, name: str) -> Path:
    return locate(environ=bench.environ).worktrees / "ad-hoc" / name


def test_the_list_says_why_each_is_kept(bench: Bench) -> None:
    listed = bench.run("worktrees", "list", "--json").json
    lines = {line["task_id"]: line for line in listed["worktrees"]}

    assert listed["schema_version"] == 1
    assert {name: line["why_kept"] for name, line in lines.items()} == {
        "task-done": None,
        "task-edited": "uncommitted: mine.txt",
        "task-waits": "its task runs, or will be tried again",
    }
    assert [line["state"] for line in lines.values()] == ["failed", None, None]
    assert all(line["size_bytes"] > 0 and line["last_used"] for line in lines.values())
    shown = bench.run("worktrees", "list").out
    assert "task-queue/task-edited" in shown
    assert "uncommitted: mine.txt" in shown
    assert bench.run("worktrees", "list", "--source", "nothing").code == 1


def test_open_prints_the_directory(bench: Bench) -> None:
    """Of a task without one, it says what to type instead."""
    (bench.pending().parent / "failed" / "task-none.md").write_text("# None\n")
    refused = bench.run("worktrees", "open", "task-none")

    assert bench.run("worktrees", "open", "task-done").out == f"{tree(bench, 'task-done')}\n"
    assert (refused.code, refused.out) == (1, "")
    assert "task task-none has no checkout" in refused.err


def test_prune_removes_what_may_go(bench: Bench) -> None:
    tried = bench.run("worktrees", "prune", "--dry-run").out
    still_there = tree(bench, "task-done").exists()
    pruned = bench.run("worktrees", "prune").out

    assert still_there
    assert tried.startswith("would remove task-done: ")
    assert pruned.startswith("removed task-done: ")
    assert pruned.splitlines()[1:] == [
        "kept task-edited: uncommitted: mine.txt",
        "kept task-waits: its task runs, or will be tried again",
    ]
    assert not tree(bench, "task-done").exists()
    assert (tree(bench, "task-edited") / "mine.txt").exists()
    assert "worktrees prune" in bench.run("events", "--json").out


def test_without_checkouts_it_says_so(tmp_path: Path) -> None:
    bench = a_bench(tmp_path)

    assert bench.run("worktrees", "list").out == "No checkout is kept.\n"
    assert bench.run("worktrees", "prune").out == "No checkout is kept.\n"
