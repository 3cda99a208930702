"""The commit on which a task's work begins, as a bundle for a clone that does not have it.

A ref keeps it while a worker may ask for it: a merge of dependencies is on no branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import ref_of
from task_queue.git.program import Git
from task_queue.git.repository import commit_of

_TAKES_S = 600.0


def keep_base(git: Git, task_id: TaskId, commit: str) -> None:
    """*commit* is what the work of the task begins on now. Raises GitError."""
    git.change("update-ref", "--no-deref", ref_of(task_id, "base"), commit)


def forget_base(git: Git, task_id: TaskId) -> None:
    """No worker asks for it any more. Raises GitError."""
    git.change("update-ref", "--no-deref", "-d", ref_of(task_id, "base"))


def write_base(git: Git, task_id: TaskId, file: Path, *, have: Sequence[str]) -> bool:
    """A bundle of it in *file*, without what commits of *have* bring along; False where none is kept.

    Raises GitError.
    """
    ref = ref_of(task_id, "base")
    base = commit_of(git, ref)
    if base is None:
        return False
    known = [commit for each in have if (commit := commit_of(git, each)) is not None and commit != base]
    git.within(_TAKES_S).change(
        "bundle", "create", "--quiet", str(file), ref, *(f"^{each}" for each in known)
    )
    return True
