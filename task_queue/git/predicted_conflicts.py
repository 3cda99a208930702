"""Which branches of tasks that are not merged yet will be in each other's way. Nothing is written to the repository."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

from task_queue.git.merging import Conflict, merged_tree
from task_queue.git.program import Git

_BRANCHES = "refs/heads/task-queue/"
MOST = 40
"""The newest branches that are compared with each other: 780 pairs."""


@dataclass(frozen=True, slots=True)
class PredictedConflict:
    """Two branches, or one and what is checked out (``HEAD``), that change the same places of some files."""

    branch: str
    other: str
    paths: tuple[str, ...]


def unmerged_branches(git: Git) -> list[str]:
    """Of tasks, without those that are in what is checked out; the newest first. Raises GitError."""
    answer = git.ask(
        *("for-each-ref", "--no-merged=HEAD", "--sort=-committerdate", f"--count={MOST}"),
        *("--format=%(refname:lstrip=2)", _BRANCHES),
    )
    return answer.text.splitlines() if answer.code == 0 else []


def predicted_conflicts(
    git: Git, *, step: Callable[[int, int], None] = lambda _done, _of: None
) -> list[PredictedConflict]:
    """*step* is called with how many pairs are done, and of how many. Raises GitError, OSError."""
    branches = unmerged_branches(git)
    pairs = [*((branch, "HEAD") for branch in branches), *combinations(branches, 2)]
    if not pairs:
        return []
    found: list[PredictedConflict] = []
    objects = git.read("rev-parse", "--git-path", "objects").text
    absolute = str((git.directory / objects).resolve())
    with tempfile.TemporaryDirectory(prefix="task-queue-merges-") as scratch:
        away = {"GIT_OBJECT_DIRECTORY": scratch, "GIT_ALTERNATE_OBJECT_DIRECTORIES": absolute}
        apart = replace(git, extra={**git.extra, **away})
        for number, (branch, other) in enumerate(pairs):
            step(number, len(pairs))
            merged = merged_tree(apart, other, branch)
            if isinstance(merged, Conflict):
                found.append(PredictedConflict(branch, other, merged.paths))
    return found
