"""A person's uncommitted work is safe before a task begins, and can be had back."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import pytest

from task_queue.domain.errors import CheckoutLost
from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import (
    Checkpoint,
    checkpoint,
    continued_checkpoint,
    forget_checkpoint,
)
from task_queue.git.snapshot import temporary_index
from tests.git.conftest import Scratch
from tests.git.test_repository import ODD_NAMES

TASK = TaskId("task-20260207-120000-fix it")


def take(scratch: Scratch, attempt: int = 1, **options: Any) -> Checkpoint:
    return checkpoint(scratch.git, scratch.repository, task_id=TASK, attempt=attempt, **options)


def follow(commands: tuple[str, ...], scratch: Scratch) -> None:
    for command in commands:
        subprocess.run(["sh", "-c", command], env=scratch.env, check=True)


def test_everything_uncommitted_is_kept_and_nothing_is_touched(scratch: Scratch) -> None:
    """Untracked, staged and changed files; status is the same afterwards, and ignored files stay out."""
    scratch.write(".gitignore", "ignored\n")
    scratch.write("ignored")
    scratch.write("first.txt", "changed\n")
    scratch.write("staged.txt", "staged\n")
    scratch.run("add", "staged.txt")
    scratch.write("staged.txt", "staged, then changed\n")
    before, index = scratch.status(), (scratch.root / ".git/index").read_bytes()

    kept = take(scratch)

    assert (scratch.status(), (scratch.root / ".git/index").read_bytes()) == (before, index)
    assert set(kept.dirty) == {".gitignore", "first.txt", "staged.txt"}
    assert scratch.run("show", f"{kept.ref}:staged.txt") == "staged, then changed"
    assert scratch.run("cat-file", "-p", kept.dirty["first.txt"].oid) == "changed"
    assert kept.base == scratch.run("rev-parse", "HEAD")


def test_the_printed_commands_bring_everything_back(scratch: Scratch) -> None:
    """Files and index, after a task overwrote them; what the task added stays."""
    scratch.write("first.txt", "mine\n")
    scratch.write("new one.txt", "also mine\n")
    scratch.write("staged.txt", "staged\n")
    scratch.run("add", "staged.txt")
    before = scratch.status()
    kept = take(scratch)
    scratch.write("first.txt", "of the task\n")
    scratch.write("added.txt")
    (scratch.root / "new one.txt").unlink()
    scratch.run("reset", "-q")

    follow(kept.restore_commands(scratch.root), scratch)

    assert sorted(scratch.status()) == sorted([*before, "?? added.txt"])
    assert (scratch.root / "first.txt").read_text() == "mine\n"


def test_it_is_found_again_by_its_commit(scratch: Scratch) -> None:
    """After a crash, when the task's own changes are there already; also where its ref was moved or deleted."""
    first = take(scratch)
    scratch.write("first.txt", "of the task\n")

    assert continued_checkpoint(scratch.git, TASK, first.commit) == (first, None)
    assert first.dirty == {}
    for moved in (("update-ref", first.ref, "HEAD"), ("update-ref", "-d", first.ref)):
        scratch.run(*moved)
        again, note = continued_checkpoint(scratch.git, TASK, first.commit)
        assert (again, scratch.run("rev-parse", first.ref)) == (first, first.commit)
        assert "is at" in (note or "")
    with pytest.raises(CheckoutLost, match="was removed"):
        continued_checkpoint(scratch.git, TASK, "1" * 40)


def test_one_that_an_agent_made_for_a_later_attempt_is_not_believed(scratch: Scratch) -> None:
    """It would hide what the agent did from the next auditor."""
    first = take(scratch)
    scratch.write("first.txt", "planted\n")
    scratch.run("add", "first.txt")
    about = scratch.run("show", "--no-patch", "--format=%B", first.commit).replace(
        '"attempt": 1', '"attempt": 2'
    )
    parents = scratch.run("show", "--no-patch", "--format=%P", first.commit).split()
    flags = [word for parent in parents for word in ("-p", parent)]
    planted = scratch.run("commit-tree", scratch.run("write-tree"), *flags, "-m", about)
    scratch.run("update-ref", first.ref, planted)
    scratch.write("first.txt", "first\n")
    scratch.run("add", "first.txt")

    second = take(scratch, attempt=2)

    assert (second.commit != planted, second.dirty) == (True, {})


def test_a_later_attempt_keeps_the_earlier_checkpoint(scratch: Scratch) -> None:
    scratch.write("first.txt", "mine\n")
    first = take(scratch)
    scratch.write("first.txt", "of the task\n")

    second = take(scratch, attempt=2)

    assert scratch.run("show", f"{second.ref}:first.txt") == "of the task"
    assert scratch.run("merge-base", first.commit, second.ref) == first.commit


def test_before_the_first_commit(empty: Scratch) -> None:
    empty.write("a.txt", "a\n")
    empty.write("b.txt", "b\n")
    empty.run("add", "b.txt")
    before = empty.status()

    kept = take(empty)
    (empty.root / "a.txt").unlink()
    follow(kept.restore_commands(empty.root), empty)

    assert (kept.base, set(kept.dirty)) == (None, {"a.txt", "b.txt"})
    assert empty.status() == before


@pytest.mark.parametrize("name", [*ODD_NAMES, os.fsdecode(b"caf\xe9")])
def test_names_of_every_kind_are_kept(scratch: Scratch, name: str) -> None:
    scratch.write(name, "mine\n")

    assert set(take(scratch).dirty) == {name}


def test_what_is_too_large_is_named_instead(scratch: Scratch) -> None:
    scratch.write("huge.bin", b"x" * 2000)
    scratch.write("small.txt")

    kept = take(scratch, max_file_bytes=1000)

    assert set(kept.dirty) == {"small.txt"}
    assert [entry.path for entry in kept.left_out] == ["huge.bin"]
    assert "larger than" in kept.left_out[0].why


def test_a_repository_inside_is_named_instead(scratch: Scratch) -> None:
    inner = scratch.root / "inner"
    inner.mkdir()
    scratch.at(inner).run("init", "-q")
    scratch.at(inner).commit("x")

    kept = take(scratch)

    assert (kept.dirty, [entry.path for entry in kept.left_out]) == ({}, ["inner/"])


def test_a_deleted_file_and_a_file_that_became_a_directory(scratch: Scratch) -> None:
    scratch.commit("second.txt")
    (scratch.root / "second.txt").unlink()
    (scratch.root / "first.txt").unlink()
    scratch.write("first.txt/inside")

    kept = take(scratch)

    assert set(kept.dirty) == {"second.txt", "first.txt", "first.txt/inside"}
    assert kept.dirty["second.txt"].absent


def test_an_empty_checkpoint_can_be_forgotten(scratch: Scratch) -> None:
    """One that holds something of a person cannot."""
    assert forget_checkpoint(scratch.git, take(scratch))
    assert scratch.run("for-each-ref", "refs/task-queue") == ""

    scratch.write("mine.txt")
    assert not forget_checkpoint(scratch.git, take(scratch))


def test_nobody_needs_to_be_configured_as_an_author(scratch: Scratch) -> None:
    """Keeping things safe must not fail for want of a name."""
    (scratch.root.parent / "home" / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    scratch.write("mine.txt")

    assert set(take(scratch).dirty) == {"mine.txt"}


def test_what_a_killed_process_left_is_swept(scratch: Scratch) -> None:
    """The copy of an index may be large, and a killed process cannot remove it."""
    pid = os.fork()
    if pid == 0:
        with temporary_index(scratch.git, scratch.repository):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    left = list((scratch.root / ".git").glob("task-queue-index-*"))

    take(scratch)

    assert len(left) == 1
    assert not list((scratch.root / ".git").glob("task-queue-index-*"))
