"""Repositories and places that are odd: packed, borrowed, corrupt, full, or of another user or file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.collect import collect
from task_queue.git.landing import Advanced, Blocked, LandingPlan, land
from task_queue.git.removal import remove
from task_queue.git.repository import facts
from task_queue.git.scratch_checkout import scratch_checkout
from task_queue.git.worktree import Worktree, create
from tests.disks import memory_disk
from tests.git.conftest import Scratch

TASK = TaskId("task-a")


def made_in(scratch: Scratch, folder: Path, name: str = TASK) -> Worktree:
    return create(scratch.git, TaskId(name), directory=folder / name, base="main")


def work_comes_back(scratch: Scratch, made: Worktree) -> bool:
    """Whether a commit of the agent gets to the task's branch, and merges."""
    commit = scratch.at(made.directory).commit("work.txt")
    collect(made.git, TASK, base=made.head, branch=made.branch)
    there = scratch.run("rev-parse", made.branch) == commit
    scratch.run("merge", "-q", "--ff-only", made.branch)
    scratch.run("fsck", "--connectivity-only")
    return there and (scratch.root / "work.txt").exists()


def test_objects_that_are_packed_away(scratch: Scratch, tmp_path: Path) -> None:
    """In packs, with packed refs and a commit graph, before the checkout is made and while it is used."""
    scratch.commit("second.txt")
    pack = ("repack", "-q", "-a", "-d", "--write-bitmap-index")
    for command in (pack, ("pack-refs", "--all"), ("commit-graph", "write"), ("multi-pack-index", "write")):
        scratch.run(*command)
    made = made_in(scratch, tmp_path / "trees")
    scratch.run("gc", "-q", "--prune=now")

    assert scratch.at(made.directory).status() == []
    assert work_comes_back(scratch, made)


def test_a_repository_that_borrows_objects_itself(scratch: Scratch, tmp_path: Path) -> None:
    """Also over several steps, and named by a relative path."""
    scratch.run("clone", "-q", "--shared", str(scratch.root), str(tmp_path / "second"))
    second = scratch.at(tmp_path / "second")
    second.commit("second.txt")
    scratch.run("clone", "-q", "--shared", str(second.root), str(tmp_path / "third"))
    third = scratch.at(tmp_path / "third")
    alternates = third.root / ".git/objects/info/alternates"
    alternates.write_text("../../../second/.git/objects\n")
    third.commit("third.txt")
    made = made_in(third, tmp_path / "trees")

    assert third.at(made.directory).status() == []
    assert third.at(made.directory).run("log", "--format=%s").splitlines()[-1] == "Write first.txt"
    assert work_comes_back(third, made)


@pytest.mark.parametrize("part", ["blob", "tree", "commit"])
def test_a_corrupt_repository_is_said_and_left_alone(scratch: Scratch, tmp_path: Path, part: str) -> None:
    """No checkout half made is taken for one; once the object is back, the same call makes it."""
    name = {"blob": "HEAD:first.txt", "tree": "HEAD^{tree}", "commit": "HEAD"}[part]
    oid = scratch.run("rev-parse", name)
    path = scratch.root / ".git/objects" / oid[:2] / oid[2:]
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(b"torn")

    with pytest.raises(GitError) as caught:
        made_in(scratch, tmp_path / "trees")
    path.write_bytes(whole)
    made = made_in(scratch, tmp_path / "trees")

    assert str(scratch.root) in str(caught.value) or str(made.directory) in str(caught.value)
    assert scratch.at(made.directory).status() == []
    assert work_comes_back(scratch, made)


def test_a_checkout_on_another_file_system(scratch: Scratch, tmp_path: Path) -> None:
    """Objects are borrowed by their path, so nothing is linked or copied."""
    folder = tmp_path / "trees"
    folder.mkdir()
    with memory_disk(folder, "size=8m"):
        made = made_in(scratch, folder)
        is_other = folder.stat().st_dev != scratch.root.stat().st_dev

        assert is_other
        assert work_comes_back(scratch, made)
        assert remove(scratch.git, made.directory) is None


def test_a_disk_that_fills_while_a_checkout_is_made(scratch: Scratch, tmp_path: Path) -> None:
    """It is said, nothing of the owner's changes, and the same call makes it once there is room."""
    scratch.write("large.bin", os.urandom(3 * 2**20))
    scratch.run("add", ".")
    scratch.run("commit", "-q", "-m", "Large")
    before = scratch.run("for-each-ref", "refs/heads/main"), scratch.status()
    folder = tmp_path / "trees"
    folder.mkdir()
    with memory_disk(folder, "size=4m"):
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(2 * 2**20))
        with pytest.raises(GitError):
            made_in(scratch, folder)
        with (
            pytest.raises(GitError),
            scratch_checkout(scratch.git, "main", directory=folder / "task-a.verify"),
        ):
            pass
        left = (folder / "task-a.verify").exists()
        after = scratch.run("for-each-ref", "refs/heads/main"), scratch.status()
        ballast.unlink()
        made = made_in(scratch, folder)

        assert (after, left) == (before, False)
        assert scratch.at(made.directory).status() == []
        assert (made.directory / "large.bin").stat().st_size == 3 * 2**20
        assert work_comes_back(scratch, made)


@pytest.mark.parametrize(
    "room",
    [
        *(f"nr_inodes={number}" for number in (2, 4, 10, 18, 19, 20, 22, 25, 34)),
        "size=8k",
        "size=32k",
        "size=64k",
    ],
)
def test_a_disk_that_is_full_at_any_step(scratch: Scratch, tmp_path: Path, room: str) -> None:
    """Each step says so in the same way, and leaves nothing that is in the way of the next attempt."""
    folder = tmp_path / "trees"
    folder.mkdir()
    failed: list[str] = []
    with memory_disk(folder, room):
        try:
            made_in(scratch, folder)
        except GitError as error:
            failed.append(str(error))
        try:
            with scratch_checkout(scratch.git, "main", directory=folder / "task-a.verify"):
                pass
        except GitError as error:
            failed.append(str(error))
    made = made_in(scratch, folder)

    assert failed
    assert work_comes_back(scratch, made)


def test_a_repository_of_another_user(scratch: Scratch, tmp_path: Path) -> None:
    """Without safe.directory git refuses, and the answer says what to type; with it everything works."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for path in (scratch.root, *scratch.root.rglob("*")):
        os.chown(path, 65534, 65534)

    with pytest.raises(GitError) as caught:
        facts(scratch.git)
    home = Path(scratch.env["HOME"])
    with (home / ".gitconfig").open("a") as config:
        config.write(f"[safe]\n\tdirectory = {scratch.root}\n")
    made = made_in(scratch, tmp_path / "trees")

    assert "safe.directory" in str(caught.value.hint)
    assert work_comes_back(scratch, made)


def test_names_that_differ_only_in_case(scratch: Scratch, tmp_path: Path) -> None:
    """Each task has a branch and a checkout of its own; the second branch gets a number."""
    made = [made_in(scratch, tmp_path / "trees", name) for name in ("task-a", "task-A")]
    scratch.at(made[1].directory).commit("upper.txt")
    collect(made[1].git, TaskId("task-A"), base=made[1].head, branch=made[1].branch)
    again = made_in(scratch, tmp_path / "trees", "task-A")

    assert [tree.branch for tree in (*made, again)] == [
        "task-queue/task-a",
        "task-queue/task-A-2",
        "task-queue/task-A-2",
    ]
    assert scratch.run("rev-parse", made[0].branch) == scratch.run("rev-parse", "main")
    assert scratch.run("show", "task-queue/task-A-2:upper.txt") == "content"


def test_checkouts_that_git_takes_for_the_same(scratch: Scratch, tmp_path: Path) -> None:
    """The second waits and says for what; once the first is gone, it is made."""
    scratch.run("config", "core.ignoreCase", "true")
    first = made_in(scratch, tmp_path / "trees", "task-a")
    with pytest.raises(GitError) as caught:
        made_in(scratch, tmp_path / "trees", "task-A")
    kept = scratch.at(first.directory).status()
    remove(scratch.git, first.directory)
    made = made_in(scratch, tmp_path / "trees", "task-A")

    assert ("in upper and lower case only" in str(caught.value), kept) == (True, [])
    assert scratch.at(made.directory).status() == []


def test_a_target_that_is_deleted_or_renamed(scratch: Scratch, tmp_path: Path) -> None:
    """The branch stays, and lands once the target is there again."""
    made = made_in(scratch, tmp_path / "trees")
    scratch.at(made.directory).commit("work.txt")
    collect(made.git, TASK, base=made.head, branch=made.branch)
    plan = LandingPlan(made.branch, "main", message="Merge", beside=tmp_path / "merge", marker="none")
    scratch.run("branch", "-m", "main", "trunk")
    renamed = land(scratch.git, plan, add_note=lambda _: None)
    scratch.run("checkout", "-q", "--detach")
    scratch.run("branch", "-D", "trunk")
    deleted = land(scratch.git, plan, add_note=lambda _: None)
    scratch.run("checkout", "-q", "-b", "main")
    landed = land(scratch.git, plan, add_note=lambda _: None)

    gone = Blocked("there is no branch main any more: it was deleted or renamed")
    assert (renamed, deleted) == (gone, gone)
    assert isinstance(landed, Advanced)
    assert (scratch.root / "work.txt").exists()
