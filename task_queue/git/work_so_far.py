"""What a task has changed by now, committed or not, against what was there before it."""

from __future__ import annotations

from pathlib import Path

from task_queue.domain.task import TaskId
from task_queue.git.changes import Changes, changes_between
from task_queue.git.checkpoint import checkpoint_at, ref_of, snapshot_now
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, facts
from task_queue.git.worktree import seen_by_queue


def work_so_far(
    owner: Git, task_id: TaskId, checkout: Path | None, *, max_patch_bytes: int
) -> tuple[str, Changes] | None:
    """The commit that it is compared with, and what differs; None where nothing says what was there before.

    *owner* is in the root of the owner's working tree; *checkout* is the task's own, None where it works in place.
    The git of the agent is not asked. Raises GitError.
    """
    before = commit_of(owner, ref_of(task_id, "checkpoint"))
    if before is None:
        return None
    there = owner if checkout is None else seen_by_queue(owner, checkout.resolve())
    repository = facts(there)
    if repository is None:
        return None
    since = checkpoint_at(there, before)
    now = snapshot_now(there, repository, since=since)
    return since.base or before, changes_between(there, before, now.tree, max_patch_bytes=max_patch_bytes)
