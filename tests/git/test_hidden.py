"""What rules hide that no diff shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import EarlierWork, checkpoint, checkpoint_at
from task_queue.git.hidden import hidden_now
from task_queue.git.worktree import create, seen_by_queue
from tests.git.conftest import Scratch


def test_a_file_of_rules_that_hides_itself_is_named_with_what_it_hides(scratch: Scratch) -> None:
    before = hidden_now(scratch.git)

    scratch.write(".gitignore", ".gitignore\nevil.txt\n")
    scratch.write("evil.txt")
    scratch.write("below/.gitignore", "*\n")
    scratch.write("below/deep/evil.txt")

    assert hidden_now(scratch.git).since(before) == {
        ".gitignore": ".gitignore",
        "evil.txt": ".gitignore",
        "below/": "below/.gitignore",
    }


@pytest.mark.parametrize("where", [".git/info/exclude", "../named"])
def test_what_a_rule_outside_of_the_files_hides_is_named_once_the_rule_is_new(
    scratch: Scratch, where: str
) -> None:
    rules = scratch.root / where
    scratch.run("config", "core.excludesFile", str(scratch.root / "../named"))
    rules.write_text("mine.txt\nmade/\n")
    scratch.write("mine.txt")
    before = hidden_now(scratch.git)
    scratch.write("made/by-agent.txt")  # as its owner wants it
    assert hidden_now(scratch.git).since(before) == {}

    rules.write_text("mine.txt\nevil.txt\n")
    scratch.write("evil.txt")

    (path,) = hidden_now(scratch.git).since(before)
    assert path == "evil.txt"


def test_in_a_checkout_the_rules_of_the_owners_repository_count(scratch: Scratch, tmp_path: Path) -> None:
    """Not those that an agent writes into the repository of its checkout: the queue does not ask that one."""
    directory = tmp_path / "trees" / "task-a"
    create(scratch.git, TaskId("task-a"), directory=directory, base="main")
    there = seen_by_queue(scratch.git, directory)
    before = hidden_now(there)
    (directory / ".git/info").mkdir(parents=True, exist_ok=True)
    (directory / ".git/info/exclude").write_text("seen.txt\n")
    for name in ("seen.txt", "evil.txt"):
        (directory / name).write_text("x\n")
    assert hidden_now(there).since(before) == {}

    (scratch.root / ".git/info/exclude").write_text("evil.txt\n")

    assert list(hidden_now(there).since(before)) == ["evil.txt"]


def test_a_checkpoint_knows_what_was_hidden_before(scratch: Scratch) -> None:
    """It comes back as it was; a later attempt's has what was there before the first one."""
    scratch.write("old/.gitignore", "*\n")
    task = TaskId("task-a")
    first = checkpoint(scratch.git, scratch.repository, task_id=task, attempt=1)
    scratch.write("new/.gitignore", "*\n")

    own = EarlierWork({}, {})
    second = checkpoint(scratch.git, scratch.repository, task_id=task, attempt=2, own=own)

    assert first.hidden is not None
    assert first.hidden == second.hidden == checkpoint_at(scratch.git, second.commit).hidden
    assert hidden_now(scratch.git).since(first.hidden) == {"new/": "new/.gitignore"}


def test_what_the_diff_shows_or_tools_leave_is_not_named(scratch: Scratch) -> None:
    """Rules that are visible, also changed ones, and caches that hide themselves."""
    scratch.commit(".gitignore", "dist/\n")
    before = hidden_now(scratch.git)

    scratch.write(".gitignore", "dist/\nbuild/\n")
    scratch.write("new/.gitignore", "*.log\n")
    for path in ("dist/a", "build/a", "new/a.log", "new/only/__pycache__/a.pyc"):
        scratch.write(path)
    scratch.write(".pytest_cache/.gitignore", "*\n")
    scratch.write("env/.gitignore", "*\n")
    scratch.write("env/pyvenv.cfg")
    scratch.write("env/lib/a.py")

    assert hidden_now(scratch.git).since(before) == {}


def test_names_that_git_quotes(scratch: Scratch) -> None:
    before = hidden_now(scratch.git)
    scratch.write("a *b/.gitignore", "*\n")
    scratch.write("a *b/ü\n.txt")

    assert list(hidden_now(scratch.git).since(before)) == ["a *b/"]
    assert Path(scratch.root / "a *b").is_dir()
