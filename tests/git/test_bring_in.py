"""The target comes into a task's branch and checkout, and the work is compared with it from then on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId
from task_queue.domain.work.commits import Signature
from task_queue.git.bring_in import Merged, bring_in
from task_queue.git.changes import changes_between
from task_queue.git.checkpoint import Checkpoint, checkpoint, snapshot_now
from task_queue.git.program import Git
from task_queue.git.repository import Repository, facts
from task_queue.git.worktree import create
from tests.git.conftest import Scratch

TASK = TaskId("task-a")


@dataclass(frozen=True)
class Begun:
    """A task that has committed a file, while a person committed another to main."""

    owner: Scratch
    git: Git
    agent: Scratch
    repository: Repository
    kept: Checkpoint
    merged: Merged

    def bring_in(self) -> tuple[Checkpoint, str | None]:
        return bring_in(
            self.git,
            self.repository,
            self.merged,
            task_id=TASK,
            branch="task-queue/task-a",
            since=self.kept,
            signature=Signature(),
        )


@pytest.fixture
def begun(scratch: Scratch, tmp_path: Path) -> Begun:
    tree = create(scratch.git, TASK, directory=tmp_path / "tree", base="HEAD")
    found = facts(tree.git)
    assert found is not None
    kept = checkpoint(tree.git, found, task_id=TASK, attempt=1)
    (tree.directory / "work.txt").write_text("work\n")
    tree.git.change("add", "work.txt")
    tree.git.change("commit", "-qm", "Work")
    onto = scratch.commit("other.txt")
    files = scratch.run("merge-tree", "--write-tree", onto, tree.branch)
    commit = scratch.run("commit-tree", files, "-p", onto, "-p", tree.branch, "-m", "The merge")
    return Begun(scratch, tree.git, scratch.at(tree.directory), found, kept, Merged("main", onto, commit))


def test_files_branch_and_both_repositories_have_the_merge(begun: Begun) -> None:
    begun.bring_in()

    parents = begun.owner.run("log", "-1", "--format=%P", "task-queue/task-a").split()
    assert parents[1] == begun.merged.onto
    assert (begun.repository.root / "other.txt").exists()
    assert begun.agent.status() == []
    assert begun.agent.run("rev-parse", "HEAD") == begun.owner.run("rev-parse", "task-queue/task-a")
    assert begun.agent.run("symbolic-ref", "--short", "HEAD") == "task-queue/task-a"


def test_what_came_with_the_target_is_not_the_tasks_work(begun: Begun) -> None:
    kept, _ = begun.bring_in()

    now = snapshot_now(begun.git, begun.repository)
    (changed,) = changes_between(begun.git, kept.commit, now.tree).paths
    assert changed.path == "work.txt"
    assert (kept.base, kept.dirty) == (begun.merged.onto, {})


def test_a_second_call_changes_nothing(begun: Begun) -> None:
    kept, merge = begun.bring_in()
    tip = begun.owner.run("rev-parse", "task-queue/task-a")

    assert replace(begun, kept=kept).bring_in() == (kept, merge)
    assert begun.owner.run("rev-parse", "task-queue/task-a") == tip == merge


def test_where_the_checkpoint_was_not_moved_a_second_call_moves_it(begun: Begun) -> None:
    """As after a crash between the two."""
    moved, _ = begun.bring_in()
    begun.git.change("update-ref", begun.kept.ref, begun.kept.commit, moved.commit)

    assert begun.bring_in()[0].base == begun.merged.onto


def test_uncommitted_files_stay_and_those_in_the_way_are_kept_on_a_ref(begun: Begun) -> None:
    (begun.repository.root / "mine.txt").write_text("mine\n")
    (begun.repository.root / "other.txt").write_text("of the agent\n")

    begun.bring_in()

    assert (begun.repository.root / "mine.txt").read_text() == "mine\n"
    assert (begun.repository.root / "other.txt").read_text() == "content\n"
    assert begun.owner.run("show", "refs/task-queue/task-a/leftovers:other.txt") == "of the agent"


def test_locks_that_a_killed_call_left_do_not_keep_it_from_being_done(begun: Begun, tmp_path: Path) -> None:
    assert begun.git.git_dir is not None
    left = [begun.git.git_dir / "index.lock", begun.git.git_dir / "HEAD.lock"]
    left.append(begun.owner.root / ".git/refs/heads/task-queue/task-a.lock")
    for lock in left:
        lock.touch()
    create(begun.owner.git, TASK, directory=tmp_path / "tree", base="HEAD")

    begun.bring_in()

    assert [lock for lock in left if lock.exists()] == []
    assert begun.agent.status() == []


def test_a_lock_that_a_process_holds_stays(begun: Begun, tmp_path: Path) -> None:
    assert begun.git.git_dir is not None
    lock = begun.git.git_dir / "index.lock"
    with lock.open("w"):
        create(begun.owner.git, TASK, directory=tmp_path / "tree", base="HEAD")

    assert lock.exists()


def test_a_checkout_whose_files_were_half_written_by_a_killed_call_is_completed(begun: Begun) -> None:
    (begun.repository.root / "other.txt").write_text("cont")

    begun.bring_in()

    assert (begun.repository.root / "other.txt").read_text() == "content\n"
    assert begun.agent.status() == []
