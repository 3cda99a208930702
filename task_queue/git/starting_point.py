"""The commit that a task begins on: the one that is checked out, with the commits of the tasks that it depends on.

They may be on no other branch than the dependency's own. Commits that the repository does not have are those of
another one.
"""

from __future__ import annotations

from collections.abc import Sequence

from task_queue.domain.errors import GitError
from task_queue.git.merging import Conflict, merged_tree
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, is_ancestor
from task_queue.git.snapshot import commit_tree
from task_queue.ports.executor import Dependency


def lacking(git: Git, commit: str, dependencies: Sequence[Dependency]) -> tuple[Dependency, ...]:
    """Those of *dependencies* whose commits *commit* does not have. Raises GitError."""
    return tuple(
        dependency
        for dependency in dependencies
        if commit_of(git, dependency.tip) is not None and not is_ancestor(git, dependency.tip, of=commit)
    )


def demand_all(git: Git, head: str, dependencies: Sequence[Dependency]) -> None:
    """For a task that works on what is checked out. Raises GitError where that lacks a dependency's commits."""
    for dependency in lacking(git, head, dependencies):
        raise GitError(
            f"it depends on {dependency.task_id}, whose commits are not in what is checked out in {git.directory}",
            hint=f"the task begins by itself once they are: task-queue tasks land {dependency.task_id}",
        )


def starting_point(git: Git, head: str, dependencies: Sequence[Dependency]) -> str:
    """*head*, or a commit that no branch has and that merges in what it lacks.

    Raises GitError where the dependencies' commits do not merge cleanly.
    """
    base = head
    for dependency in lacking(git, head, dependencies):
        if is_ancestor(git, base, of=dependency.tip):
            base = dependency.tip
            continue
        if is_ancestor(git, dependency.tip, of=base):
            continue
        tree = merged_tree(git, base, dependency.tip)
        if not isinstance(tree, str):
            why = f"conflict in {', '.join(tree.paths)}" if isinstance(tree, Conflict) else tree.why
            raise GitError(
                f"it depends on {dependency.task_id}, whose commits do not merge with what is checked out: {why}",
                hint=f"the task begins by itself once they are merged: task-queue tasks land {dependency.task_id}",
            )
        message = f"Begin with {dependency.task_id}, which is not merged yet\n"
        base = commit_tree(git, tree, parents=(base, dependency.tip), message=message)
    return base
