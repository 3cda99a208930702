"""Working trees that were kept for long enough go; none with work in it that is nowhere else does."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId
from task_queue.domain.work.worktrees import Keep
from task_queue.git.collect import collect
from task_queue.git.scratch_checkout import scratch_checkout
from task_queue.git.tidying import Tidied, repositories_in, tidy
from task_queue.git.worktree import create, listed, seen_by_queue
from tests.git.conftest import Scratch

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "trees"


def make(scratch: Scratch, folder: Path, name: str) -> Scratch:
    return scratch.at(create(scratch.git, TaskId(name), directory=folder / name, base="main").directory)


def after(scratch: Scratch, folder: Path, days: int, *, unfinished: frozenset[str] = frozenset()) -> set[str]:
    """Names that are gone when somebody looks *days* from now; three days are allowed."""
    now = datetime.now(UTC) + days * DAY
    return {
        path.name
        for path in tidy(
            scratch.git, folder, keep=Keep(9, 3 * DAY), unfinished=lambda: unfinished, now=now
        ).removed
    }


def test_a_finished_tree_goes_after_its_time(scratch: Scratch, folder: Path) -> None:
    """With its branch; not a day earlier."""
    tree = make(scratch, folder, "task-a")
    tree.commit("done.txt")
    there = seen_by_queue(scratch.git, tree.root)
    collect(there, TaskId("task-a"), base=scratch.run("rev-parse", "main"), branch="task-queue/task-a")
    scratch.run("merge", "-q", "task-queue/task-a")

    assert after(scratch, folder, 2) == set()
    assert after(scratch, folder, 4) == {"task-a"}
    assert not tree.root.exists()
    assert scratch.run("for-each-ref", "refs/heads/task-queue") == ""
    assert (scratch.root / "done.txt").exists()


def test_a_tree_is_not_removed_through_a_link_that_its_agent_planted(
    scratch: Scratch, folder: Path, tmp_path: Path
) -> None:
    """In place of its repository, into a folder of the owner where there is no such file yet."""
    tree = make(scratch, folder, "task-a")
    shutil.rmtree(tree.root / ".git")
    (tree.root / ".git").symlink_to(tmp_path / "planted")

    after(scratch, folder, 4)

    assert not os.path.lexists(tmp_path / "planted")


def test_work_that_is_nowhere_else_stays_for_ever(scratch: Scratch, folder: Path) -> None:
    """Uncommitted, unmerged, or locked by somebody."""
    make(scratch, folder, "task-dirty").write("half done.txt")
    make(scratch, folder, "task-unmerged").commit("only here.txt")
    scratch.run("worktree", "lock", str(make(scratch, folder, "task-locked").root))

    assert after(scratch, folder, 4000) == set()
    assert len(listed(scratch.git)) == 4


def test_a_throw_away_checkout_of_a_killed_attempt_goes(scratch: Scratch, folder: Path) -> None:
    """At once, with whatever was built or merged in it; not while its task may still use it."""
    checkouts = [folder / "task-a.merge", folder / "task-b.verify"]
    left: list[AbstractContextManager[Path]] = []  # never left, as by a process that is killed
    for checkout in checkouts:
        left.append(scratch_checkout(scratch.git, "main", directory=checkout))
        left[-1].__enter__()
        (checkout / "first.txt").write_text("half merged\n")

    after(scratch, folder, 0, unfinished=frozenset({"task-b"}))

    assert [checkout.exists() for checkout in checkouts] == [False, True]


def test_a_tree_that_is_still_needed_stays(scratch: Scratch, folder: Path) -> None:
    """Its task runs, or will be tried again; nor does it take the place of another."""
    make(scratch, folder, "task-waits")
    make(scratch, folder, "task-done")

    gone = tidy(
        scratch.git,
        folder,
        keep=Keep(1),
        unfinished=lambda: {"task-waits"},
        now=datetime.now(UTC) + DAY,
    )
    assert gone == Tidied()
    assert after(scratch, folder, 4, unfinished=frozenset({"task-waits"})) == {"task-done"}


def test_trees_of_others_are_none_of_our_business(scratch: Scratch, folder: Path, tmp_path: Path) -> None:
    """A person's own working trees, wherever they lie, and the repository itself."""
    scratch.run("worktree", "add", "-q", "--detach", str(tmp_path / "mine"))

    assert after(scratch, folder, 4000) == set()
    assert (tmp_path / "mine").exists()


def test_repositories_are_found_by_their_trees(scratch: Scratch, folder: Path) -> None:
    """Each once, at the main working tree; a folder that is not there, or anything else in it, has none."""
    assert repositories_in(folder, scratch.env) == ()
    make(scratch, folder, "task-a")
    make(scratch, folder, "task-b")
    (folder / "notes").mkdir()

    assert [git.directory for git in repositories_in(folder, scratch.env)] == [scratch.root]


def test_a_task_that_begins_meanwhile_keeps_its_tree(scratch: Scratch, folder: Path) -> None:
    """What is unfinished is asked after the look at what is there: a task may begin right after each answer."""
    begun: list[str] = []

    def unfinished() -> set[str]:
        answer = set(begun)
        begun.append(f"task-{len(begun)}")
        make(scratch, folder, begun[-1])
        return answer

    tidy(scratch.git, folder, keep=Keep(0), unfinished=unfinished, now=datetime.now(UTC))

    assert begun
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == set(begun)
