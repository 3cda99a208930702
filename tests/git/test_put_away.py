"""The checkout of a failed task goes once its work is safe, and is made again from there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId
from task_queue.domain.work.unwanted import CommitRules
from task_queue.domain.work.worktrees import Keep
from task_queue.git.checkpoint import checkpoint
from task_queue.git.collect import collect
from task_queue.git.leftovers import keep_leftovers
from task_queue.git.put_away import bring_back, kept_leftovers, put_away_from
from task_queue.git.removal import kept_checkouts, remove, why_kept
from task_queue.git.repository import Repository, facts
from task_queue.git.tidying import tidy
from task_queue.git.worktree import Worktree, create
from tests.git.conftest import Scratch

TASK = TaskId("task-a")


@pytest.fixture
def tree(scratch: Scratch, tmp_path: Path) -> Scratch:
    """A failed task's: one commit of the agent's, a changed, a deleted, a staged and a new file."""
    scratch.commit("old.txt")
    made = make(scratch, tmp_path)
    there = scratch.at(made.directory)
    since = checkpoint(made.git, _facts(made), task_id=TASK, attempt=1)
    there.commit("committed.txt")
    there.write("first.txt", "half done\n")
    there.write("new.txt", "new\n")
    (there.root / "old.txt").unlink()
    collect(made.git, TASK, base=made.head, branch=made.branch)
    keep_leftovers(made.git, _facts(made), task_id=TASK, since=since)
    return there


def make(scratch: Scratch, tmp_path: Path) -> Worktree:
    away = put_away_from(tmp_path / "trees/task-a")
    earlier = away.branch if away else None
    return create(scratch.git, TASK, directory=tmp_path / "trees/task-a", base="main", earlier=earlier)


def _facts(made: Worktree) -> Repository:
    found = facts(made.git)
    assert found is not None
    return found


def test_it_goes_and_comes_back_as_it_was(scratch: Scratch, tree: Scratch, tmp_path: Path) -> None:
    """The branch stays with the commits, the ref with the files; made again, it is the same to the agent's git."""
    before, log = tree.status(), tree.run("log", "--format=%s")

    assert remove(scratch.git, tree.root) is None
    gone = not tree.root.exists()
    scratch.commit("meanwhile.txt")
    made = make(scratch, tmp_path)
    away = put_away_from(tree.root)
    assert away is not None
    is_back = bring_back(made.git, away)

    assert (gone, is_back, made.branch) == (True, True, "task-queue/task-a")
    assert (tree.status(), tree.run("log", "--format=%s")) == (before, log)
    assert sorted(before) == [" D old.txt", " M first.txt", "?? new.txt"]
    assert (tree.root / "first.txt").read_text() == "half done\n"
    assert bring_back(made.git, away), "a second time, after a crash"
    assert tree.status() == before


@pytest.mark.parametrize("change", ["one more file", "another content", "committed since", "put back"])
def test_what_differs_from_what_is_kept_stays(scratch: Scratch, tree: Scratch, change: str) -> None:
    """A person or a process has been there since: nothing of that is on a ref."""
    match change:
        case "one more file":
            tree.write("more.txt")
        case "another content":
            tree.write("new.txt", "newer\n")
        case "put back":
            tree.run("checkout", "old.txt")
        case _:
            tree.commit("new.txt", "new\n")

    said = remove(scratch.git, tree.root)

    assert said is not None
    assert "commits that only" in said if change == "committed since" else "uncommitted" in said
    assert (tree.root / "new.txt").exists()
    assert put_away_from(tree.root) is None


def test_a_file_that_is_not_kept_on_purpose_stays(scratch: Scratch, tmp_path: Path) -> None:
    """Secrets are on no ref, so the checkout is the only place that has them."""
    made = make(scratch, tmp_path)
    since = checkpoint(made.git, _facts(made), task_id=TASK, attempt=1)
    there = scratch.at(made.directory)
    there.write("work.txt")
    there.write(".env", "KEY=1\n")
    rules = CommitRules((".env",), 2**20, 100)
    keep_leftovers(made.git, _facts(made), task_id=TASK, since=since, rules=rules)

    assert why_kept(scratch.git, made.directory) is not None


def test_what_no_ref_can_hold_stays(scratch: Scratch, tmp_path: Path) -> None:
    """A repository inside is named among what is left out, and is in no tree."""
    made = make(scratch, tmp_path)
    since = checkpoint(made.git, _facts(made), task_id=TASK, attempt=1)
    there = scratch.at(made.directory)
    there.write("work.txt")
    keep_leftovers(made.git, _facts(made), task_id=TASK, since=since)
    kept = kept_leftovers(made.git, TASK)
    there.run("init", "-q", "inner")
    there.at(made.directory / "inner").commit("inside.txt")

    assert kept is not None
    assert kept_leftovers(made.git, TASK) is None


def test_work_does_not_come_back_onto_another_commit(scratch: Scratch, tree: Scratch, tmp_path: Path) -> None:
    """The branch was moved since: files of an earlier one would undo what is there now."""
    assert remove(scratch.git, tree.root) is None
    scratch.run("checkout", "-q", "task-queue/task-a")
    scratch.commit("first.txt", "a person's\n")
    scratch.run("checkout", "-q", "main")
    made = make(scratch, tmp_path)
    away = put_away_from(tree.root)
    assert away is not None

    assert not bring_back(made.git, away)
    assert (tree.root / "first.txt").read_text() == "a person's\n"


def test_its_branch_goes_once_another_has_its_commits(scratch: Scratch, tmp_path: Path) -> None:
    """Of a checkout with nothing uncommitted, which went before its branch was merged."""
    made = make(scratch, tmp_path)
    scratch.at(made.directory).commit("done.txt")
    collect(made.git, TASK, base=made.head, branch=made.branch)
    keep, now = Keep(0), datetime.now(UTC) + timedelta(days=1)

    gone = tidy(scratch.git, tmp_path / "trees", keep=keep, unfinished=tuple, now=now).removed
    branch = scratch.run("for-each-ref", "--format=%(refname)", "refs/heads/task-queue")
    scratch.run("merge", "-q", "task-queue/task-a")
    tidy(scratch.git, tmp_path / "trees", keep=keep, unfinished=tuple, now=now)

    assert (gone, branch) == ((made.directory,), "refs/heads/task-queue/task-a")
    assert scratch.run("for-each-ref", "refs/heads/task-queue") == ""
    assert put_away_from(made.directory) is None


def test_those_beyond_the_size_go(scratch: Scratch, tmp_path: Path) -> None:
    """The newest stay, as long as all together are within it."""
    folder = tmp_path / "trees"
    for name in ("task-a", "task-b"):
        made = create(scratch.git, TaskId(name), directory=folder / name, base="main")
        (made.directory / ".git" / "large").write_bytes(bytes(3 * 2**20))
        made.directory.touch()
    now = datetime.now(UTC)

    keep_both = tidy(
        scratch.git, folder, keep=Keep(9, size_bytes=8 * 2**20), unfinished=tuple, now=now
    ).removed
    gone = tidy(scratch.git, folder, keep=Keep(9, size_bytes=5 * 2**20), unfinished=tuple, now=now).removed

    assert (keep_both, [path.name for path in gone]) == ((), ["task-a"])


def test_a_checkout_that_a_person_removed_is_not_listed(scratch: Scratch, tmp_path: Path) -> None:
    made = make(scratch, tmp_path)
    scratch.run("worktree", "prune")
    listed_before = [kept.task_id for kept in kept_checkouts(tmp_path / "trees", scratch.git)]
    scratch.git.attempt("worktree", "unlock", str(made.directory))
    made.directory.rename(tmp_path / "elsewhere")
    scratch.run("worktree", "prune")

    assert listed_before == ["task-a"]
    assert kept_checkouts(tmp_path / "trees", scratch.git) == ()


def test_a_removal_that_git_refuses_leaves_no_note(scratch: Scratch, tree: Scratch) -> None:
    """A note would say that the files on the ref are the newer ones."""
    git_dir = scratch.root / ".git/worktrees/task-a"
    (git_dir / "index.lock").touch()
    (git_dir / "locked").write_text("by hand")

    assert remove(scratch.git, tree.root) is not None
    assert put_away_from(tree.root) is None
    assert (tree.root / "new.txt").exists()
