"""What a failed task left is kept, and is its own when it is tried again."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import Checkpoint, checkpoint, snapshot_now
from task_queue.git.commit import CommitResult, Judged, final_commit
from task_queue.git.interrupted import WorkInProgress, keep_interrupted_work, record_end, record_start
from task_queue.git.leftovers import Leftovers, earlier_work_of, keep_leftovers
from task_queue.git.repository import head_of
from task_queue.platform.identity import own_identity
from task_queue.platform.records import encode
from tests.git.conftest import Scratch

TASK = TaskId("task-a")


def begin(scratch: Scratch, attempt: int = 1) -> Checkpoint:
    own = earlier_work_of(scratch.git, TASK)
    return checkpoint(scratch.git, scratch.repository, task_id=TASK, attempt=attempt, own=own)


def fail(scratch: Scratch, since: Checkpoint) -> Leftovers | None:
    return keep_leftovers(scratch.git, scratch.repository, task_id=TASK, since=since)


def succeed(scratch: Scratch, since: Checkpoint, attempt: int = 2) -> CommitResult:
    trailers = {"Task-Id": TASK, "Task-Queue-Attempt": str(attempt)}
    now = snapshot_now(scratch.git, scratch.repository, since=since)
    return final_commit(
        scratch.git,
        scratch.repository,
        since=since,
        judged=Judged(now.tree, head_of(scratch.git), now.left_out),
        subject="Do it",
        body="",
        trailers=trailers,
    )


def test_what_a_failed_task_left_is_kept(scratch: Scratch) -> None:
    """Only its own changes are told; asked again, it is the same one."""
    scratch.write("mine.txt")
    since = begin(scratch)
    scratch.write("first.txt", "half done\n")
    scratch.write("new.txt")

    left = keep_leftovers(scratch.git, scratch.repository, task_id=TASK, since=since)

    assert left is not None
    assert left.paths == ("first.txt", "new.txt")
    assert scratch.run("show", f"{left.ref}:first.txt") == "half done"
    assert keep_leftovers(scratch.git, scratch.repository, task_id=TASK, since=since) == left
    seen = subprocess.run(
        ["sh", "-c", left.show_command(scratch.root)],
        env=scratch.env,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "half done" in seen.stdout


def test_a_task_that_changed_nothing_leaves_nothing(scratch: Scratch) -> None:
    scratch.write("mine.txt")

    assert keep_leftovers(scratch.git, scratch.repository, task_id=TASK, since=begin(scratch)) is None


def test_what_it_left_is_its_own_when_it_is_tried_again(scratch: Scratch) -> None:
    """New, changed, deleted and staged files are committed with the rest; the checkpoint has none of them."""
    scratch.commit("old.txt")
    since = begin(scratch)
    scratch.write("first.txt", "half done\n")
    scratch.write("new.txt")
    scratch.write("staged.txt", "early\n")
    scratch.run("add", "staged.txt")
    scratch.write("staged.txt", "late\n")
    (scratch.root / "old.txt").unlink()
    fail(scratch, since)

    again = begin(scratch, attempt=2)
    scratch.write("first.txt", "done\n")
    done = succeed(scratch, again)

    assert (again.others_paths, done.overlap) == (frozenset(), ())
    assert done.paths == ("first.txt", "new.txt", "old.txt", "staged.txt")
    assert scratch.status() == []


def test_a_persons_changes_stay_theirs_however_often_it_is_tried(scratch: Scratch) -> None:
    """From before the task, and from between the attempts, also in a file that the task had changed."""
    for name in ("mine.txt", "shared.txt"):
        scratch.write(name, "mine\n")
    since = begin(scratch)
    scratch.write("shared.txt", "mine and the task's\n")
    for name in ("edited.txt", "staged.txt", "kept.txt"):
        scratch.write(name, "of the task\n")
    fail(scratch, since)
    scratch.write("edited.txt", "edited by a person\n")
    scratch.write("staged.txt", "staged by a person\n")
    scratch.run("add", "staged.txt")
    scratch.write("staged.txt", "of the task\n")

    again = begin(scratch, attempt=2)
    done = succeed(scratch, again)

    assert set(again.dirty) == {"mine.txt", "shared.txt", "edited.txt", "staged.txt"}
    assert done.paths == ("kept.txt",)
    assert scratch.run("show", f"{again.ref}:edited.txt") == "edited by a person"
    assert scratch.run("show", ":staged.txt") == "staged by a person"


def die_at_work(scratch: Scratch, since: Checkpoint) -> None:
    """As a runner does that is killed: its note says a process that there is no more."""
    folder = scratch.root / ".git/task-queue-at-work"
    folder.mkdir(exist_ok=True)
    dead = replace(own_identity(), pid_start_ticks=1)
    (folder / "task-a.json").write_bytes(encode(WorkInProgress(TASK, since.commit, dead)))


@pytest.mark.parametrize("apart", [True, False], ids=["in a tree of its own", "in place"])
def test_what_a_killed_attempt_left_is_kept_before_the_next_begins(scratch: Scratch, *, apart: bool) -> None:
    """In place a person may have changed some of it since, so it is nobody's own when it is tried again."""
    die_at_work(scratch, begin(scratch))
    scratch.write("half.txt")

    (told,) = keep_interrupted_work(scratch.git, scratch.repository, but=None, apart=apart)

    assert "task-a, whose runner died, had left changes here: half.txt; they are kept on" in told
    assert scratch.run("show", "refs/task-queue/task-a/leftovers:half.txt") == "content"
    assert set(begin(scratch, attempt=2).dirty) == (set() if apart else {"half.txt"})
    assert keep_interrupted_work(scratch.git, scratch.repository, but=None, apart=apart) == ()


def test_a_task_that_lives_or_goes_on_keeps_its_own(scratch: Scratch) -> None:
    """And of one that had committed everything nothing has to be kept."""
    since = begin(scratch)
    record_start(scratch.repository, TaskId("task-b"), since)
    scratch.write("half.txt")
    assert keep_interrupted_work(scratch.git, scratch.repository, but=None, apart=False) == ()
    record_end(scratch.repository, TaskId("task-b"))

    die_at_work(scratch, since)
    assert keep_interrupted_work(scratch.git, scratch.repository, but=TASK, apart=False) == ()
    scratch.run("add", "half.txt")
    scratch.run("commit", "-q", "-m", "All of it")
    assert keep_interrupted_work(scratch.git, scratch.repository, but=None, apart=False) == ()
    assert scratch.run("for-each-ref", "refs/task-queue/task-a/leftovers") == ""


def test_each_failed_attempt_adds_to_its_own(scratch: Scratch) -> None:
    since = begin(scratch)
    scratch.write("one.txt")
    fail(scratch, since)
    since = begin(scratch, attempt=2)
    scratch.write("two.txt")
    fail(scratch, since)

    done = succeed(scratch, begin(scratch, attempt=3), attempt=3)

    assert (done.paths, scratch.status()) == (("one.txt", "two.txt"), [])


def test_work_that_a_person_took_over_is_no_longer_its_own(scratch: Scratch) -> None:
    """Committed, put back, or brought to an older state: nothing of that is swept into the task's commit."""
    scratch.commit("file.txt", "old\n")
    since = begin(scratch)
    scratch.write("new.txt")
    scratch.write("first.txt", "half done\n")
    fail(scratch, since)
    scratch.run("add", "new.txt")
    scratch.run("commit", "-q", "-m", "Take it over")
    scratch.run("checkout", "-q", "first.txt")
    scratch.commit("file.txt", "newer\n")
    scratch.write("file.txt", "old\n")

    again = begin(scratch, attempt=2)

    assert set(again.dirty) == {"file.txt"}
    assert succeed(scratch, again).ours is None


def test_leftovers_that_say_nothing_of_themselves_are_nobodys(scratch: Scratch) -> None:
    """Of another program, or with the checkpoint gone: what lies there counts as somebody else's."""
    since = begin(scratch)
    scratch.write("new.txt")
    left = fail(scratch, since)
    assert left is not None
    scratch.run("update-ref", left.ref, "HEAD")

    assert earlier_work_of(scratch.git, TASK) is None
    assert set(begin(scratch, attempt=2).dirty) == {"new.txt"}
