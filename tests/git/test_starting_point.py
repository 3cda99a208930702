"""What a task begins on has the commits of the tasks that it depends on, landed or not."""

from __future__ import annotations

import pytest

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.starting_point import demand_all, lacking, starting_point
from task_queue.ports.executor import Dependency
from tests.git.conftest import Scratch


def branch(scratch: Scratch, name: str, file: str, text: str = "content\n", at: str = "main") -> Dependency:
    """A dependency that committed one file on a branch of its own."""
    scratch.run("checkout", "-q", "-b", name, at)
    tip = scratch.commit(file, text)
    scratch.run("checkout", "-q", "main")
    return Dependency(TaskId(name), tip)


def test_what_has_landed_changes_nothing(scratch: Scratch) -> None:
    first = branch(scratch, "task-a", "a.txt")
    scratch.run("merge", "-q", "task-a")
    head = scratch.run("rev-parse", "HEAD")

    assert starting_point(scratch.git, head, (first,)) == head
    assert lacking(scratch.git, head, (first,)) == ()


def test_a_dependency_that_continues_what_is_checked_out_is_begun_on(scratch: Scratch) -> None:
    first = branch(scratch, "task-a", "a.txt")
    second = branch(scratch, "task-b", "b.txt", at="task-a")
    head = scratch.run("rev-parse", "HEAD")

    assert starting_point(scratch.git, head, (first,)) == first.tip
    assert starting_point(scratch.git, head, (second, first)) == second.tip


def test_others_are_merged_in(scratch: Scratch) -> None:
    """No branch moves, and nothing that is checked out changes."""
    first, second = branch(scratch, "task-a", "a.txt"), branch(scratch, "task-b", "b.txt")
    head = scratch.commit("other.txt")

    base = starting_point(scratch.git, head, (first, second))

    assert scratch.run("ls-tree", "--name-only", base).split() == ["a.txt", "b.txt", "first.txt", "other.txt"]
    assert lacking(scratch.git, base, (first, second)) == ()
    assert (scratch.run("rev-parse", "main"), scratch.status()) == (head, [])


def test_what_does_not_merge_says_which_task_and_where(scratch: Scratch) -> None:
    first = branch(scratch, "task-a", "same.txt", "a\n")
    head = scratch.commit("same.txt", "b\n")

    with pytest.raises(GitError, match=r"it depends on task-a, .* conflict in same\.txt") as raised:
        starting_point(scratch.git, head, (first,))

    assert "tasks land task-a" in (raised.value.hint or "")


def test_in_place_everything_has_to_be_there(scratch: Scratch) -> None:
    first = branch(scratch, "task-a", "a.txt")

    with pytest.raises(GitError, match="it depends on task-a, whose commits are not in what is checked out"):
        demand_all(scratch.git, "HEAD", (first,))

    scratch.run("merge", "-q", "task-a")
    demand_all(scratch.git, "HEAD", (first,))


def test_commits_of_another_repository_are_not_asked_for(scratch: Scratch) -> None:
    elsewhere = Dependency(TaskId("task-a"), "1" * 40)

    demand_all(scratch.git, "HEAD", (elsewhere,))
    assert starting_point(scratch.git, "HEAD", (elsewhere,)) == "HEAD"
