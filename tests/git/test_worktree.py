"""A working tree for each isolated task; nothing with work in it is removed."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.collect import collect
from task_queue.git.exclude import keep_out
from task_queue.git.removal import remove
from task_queue.git.scratch_checkout import scratch_checkout
from task_queue.git.worktree import Worktree, admin_folder, create, listed, seen_by_queue
from tests.git.conftest import Scratch

TASK = TaskId("task-a")


def collected(scratch: Scratch, directory: Path) -> tuple[str, ...]:
    """As after an agent ran: what is said of its commits."""
    there = seen_by_queue(scratch.git, directory)
    return collect(there, TASK, base=scratch.run("rev-parse", "main"), branch="task-queue/task-a")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "trees" / "task-a"


def make(scratch: Scratch, directory: Path, task_id: str = TASK, base: str = "main") -> Worktree:
    return create(scratch.git, TaskId(task_id), directory=directory, base=base)


def branches(scratch: Scratch) -> set[str]:
    return set(scratch.run("for-each-ref", "--format=%(refname:short)", "refs/heads").split())


def test_a_task_gets_a_branch_from_a_fresh_base(scratch: Scratch, directory: Path) -> None:
    made = make(scratch, directory)

    assert (made.branch, made.head, made.continued) == (
        "task-queue/task-a",
        scratch.run("rev-parse", "main"),
        False,
    )
    assert (directory / "first.txt").read_text() == "first\n"
    assert (scratch.repository.branch, scratch.status()) == ("main", [])


def test_nobody_else_can_look_into_the_trees(scratch: Scratch, directory: Path) -> None:
    """Whatever the umask; in a tree itself, files have the modes that git gives them."""
    before = os.umask(0)
    try:
        make(scratch, directory)
    finally:
        os.umask(before)

    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "task_id",
    [
        "task-with space",
        "task-ü~^:?*[\\",
        "task-a..b",
        "task-a.lock",
        "task-@{x",
        "task-" + "%" * 190,
        "task-.",
    ],
)
def test_every_task_id_gives_a_branch(scratch: Scratch, directory: Path, task_id: str) -> None:
    made = make(scratch, directory, task_id)

    assert made.branch in branches(scratch)
    assert make(scratch, directory, task_id).continued


def test_asked_again_it_is_continued(scratch: Scratch, directory: Path) -> None:
    """With the work that lies in it."""
    make(scratch, directory)
    commit = scratch.at(directory).commit("step.txt")
    scratch.at(directory).write("half done.txt")

    assert collected(scratch, directory) == ()
    again = make(scratch, directory)

    assert (again.continued, again.head) == (True, commit)
    assert (directory / "half done.txt").exists()


def test_a_directory_of_somebody_else_is_left_alone(scratch: Scratch, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "theirs").touch()

    with pytest.raises(GitError, match="is there already"):
        make(scratch, directory)
    assert (directory / "theirs").exists()


def test_a_working_tree_on_another_branch_is_left_alone(scratch: Scratch, directory: Path) -> None:
    scratch.run("worktree", "add", "-q", "-b", "feature", str(directory))

    with pytest.raises(GitError, match="is a working tree on feature"):
        make(scratch, directory)


def test_a_taken_branch_gets_a_number(scratch: Scratch, directory: Path) -> None:
    """Whatever it holds stays; the numbered one is continued, too."""
    scratch.run("branch", "task-queue/task-a")
    scratch.commit("later.txt")

    made = make(scratch, directory)

    assert made.branch == "task-queue/task-a-2"
    assert make(scratch, directory).branch == "task-queue/task-a-2"


def test_a_crash_between_the_branch_and_its_working_tree(scratch: Scratch, directory: Path) -> None:
    """The branch that lies there unused at the base is the one."""
    scratch.run("branch", "task-queue/task-a")

    assert make(scratch, directory).branch == "task-queue/task-a"


def test_a_crash_while_files_were_checked_out(scratch: Scratch, directory: Path) -> None:
    """Git marks such a working tree; it is completed."""
    scratch.commit("second.txt")
    make(scratch, directory)
    (directory / "first.txt").unlink()
    admin = admin_folder(scratch.git, directory)
    (admin / "index").unlink()
    (admin / "locked").write_text("initializing")
    shutil.rmtree(directory / ".git")
    (directory / ".git").write_text(f"gitdir: {admin}\n")

    assert make(scratch, directory).continued
    assert (scratch.at(directory).status(), (directory / "first.txt").exists()) == ([], True)


def test_a_directory_that_somebody_removed(scratch: Scratch, directory: Path) -> None:
    """What was committed and brought to the branch is gone on with."""
    make(scratch, directory)
    commit = scratch.at(directory).commit("step.txt")
    collected(scratch, directory)
    shutil.rmtree(directory)

    made = make(scratch, directory)

    assert (made.branch, made.head, made.continued) == ("task-queue/task-a", commit, False)
    assert (directory / "step.txt").exists()


def test_a_branch_in_the_way_of_all_is_told(scratch: Scratch, directory: Path) -> None:
    scratch.run("branch", "task-queue")

    with pytest.raises(GitError, match="is in the way") as caught:
        make(scratch, directory)
    assert "git branch -m" in (caught.value.hint or "")


def test_without_commits_there_is_no_base(empty: Scratch, directory: Path) -> None:
    with pytest.raises(GitError, match="no commit main") as caught:
        make(empty, directory)
    assert caught.value.hint == "commit something first"


def test_what_is_merged_is_removed_with_its_branch(scratch: Scratch, directory: Path) -> None:
    make(scratch, directory)
    scratch.at(directory).commit("step.txt")
    collected(scratch, directory)
    scratch.run("merge", "-q", "task-queue/task-a")

    assert remove(scratch.git, directory) is None
    assert remove(scratch.git, directory) is None
    assert (directory.exists(), branches(scratch)) == (False, {"main"})


def test_uncommitted_work_is_never_removed(scratch: Scratch, directory: Path) -> None:
    make(scratch, directory)
    scratch.at(directory).write("half done.txt")

    assert remove(scratch.git, directory) == "uncommitted: half done.txt"
    assert (directory / "half done.txt").exists()


def test_unmerged_work_is_never_removed(scratch: Scratch, directory: Path) -> None:
    make(scratch, directory)
    scratch.at(directory).commit("step.txt")

    assert remove(scratch.git, directory) == "commits that only task-queue/task-a has"
    assert (directory / "step.txt").exists()


def test_a_locked_working_tree_is_never_removed(scratch: Scratch, directory: Path) -> None:
    make(scratch, directory)
    scratch.run("worktree", "lock", "--reason", "I look at it", str(directory))

    assert remove(scratch.git, directory) == "it is locked: I look at it"


def test_submodules_are_not_checked_out_and_that_is_said(
    scratch: Scratch, directory: Path, tmp_path: Path
) -> None:
    """One that is checked out goes with the checkout, unless something in it is nowhere else."""
    scratch.run("clone", "-q", str(scratch.root), str(tmp_path / "library"))
    scratch.run("submodule", "--quiet", "add", str(tmp_path / "library"), "vendor")
    scratch.run("commit", "-q", "-m", "Add the library")

    make(scratch, directory)
    assert not any((directory / "vendor").iterdir())
    scratch.at(directory).run("submodule", "--quiet", "update", "--init")

    inside = scratch.at(directory / "vendor")
    inside.write("half done.txt")
    assert remove(scratch.git, directory) == "uncommitted: vendor/half done.txt"
    inside.commit("half done.txt")
    inside.run("branch", "mine")
    inside.run("checkout", "-q", "origin/main")
    assert remove(scratch.git, directory) == "commits that only the submodule vendor has"
    inside.run("branch", "-q", "-D", "mine")
    assert remove(scratch.git, directory) is None
    assert not directory.exists()


def test_a_fresh_checkout_is_what_was_committed(scratch: Scratch, directory: Path) -> None:
    """Nothing uncommitted is in it; it is gone afterwards, with what was built in it."""
    scratch.write("uncommitted.txt")

    with scratch_checkout(scratch.git, "main", directory=directory) as checkout:
        assert sorted(path.name for path in directory.iterdir()) == [".git", "first.txt"]
        assert scratch.at(checkout).status() == []
        (checkout / "built").touch()

    assert (directory.exists(), len(listed(scratch.git))) == (False, 1)


def test_what_a_crash_left_of_a_fresh_checkout_goes(scratch: Scratch, directory: Path) -> None:
    scratch.run("worktree", "add", "-q", "--detach", str(directory))
    (directory / "built").touch()

    with scratch_checkout(scratch.git, "main", directory=directory):
        assert not (directory / "built").exists()


def test_queue_folders_stay_out_of_commits(scratch: Scratch) -> None:
    """Added once, whatever they are called; folders elsewhere are none of our business."""
    odd = scratch.root / "tasks" / "[a] *b\nc "
    scratch.write("tasks/[a] *b\nc /pending/task-a.md")
    scratch.write("tasks/ab/seen.txt")
    (scratch.root / ".git/info/exclude").write_text("# no newline at the end")

    added = keep_out(scratch.repository, [odd, Path("/tmp"), scratch.root])

    assert len(added) == 1
    assert [dirty.path for dirty in scratch.repository.dirty] == ["tasks/ab/seen.txt"]
    assert keep_out(scratch.repository, [odd]) == ()


@pytest.mark.parametrize("linked", ["info", "info/exclude"])
def test_nothing_is_written_where_a_planted_link_leads(scratch: Scratch, tmp_path: Path, linked: str) -> None:
    """In place of the file of exclusions, or of its folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "exclude").write_text("as it was\n")
    place = scratch.root / ".git" / linked
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(elsewhere if linked == "info" else elsewhere / "exclude")

    with pytest.raises(GitError, match="is a link"):
        keep_out(scratch.repository, [scratch.root / "tasks"])

    assert (elsewhere / "exclude").read_text() == "as it was\n"
