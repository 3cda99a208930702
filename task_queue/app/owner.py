"""Tasks in the words of a job queue, for the owner: who sees all of them."""

from __future__ import annotations

from task_queue.app.installation import Installation
from task_queue.app.tracked_task import TaskFilter, TaskPage, TrackedTask
from task_queue.app.tracking import KeptDocuments, tasks_page, tracked
from task_queue.domain.policy import EVERYTHING_ALLOWED, OWNER, Caller

_OWNER = Caller(OWNER, EVERYTHING_ALLOWED)
_kept = KeptDocuments()


def page_for_owner(installation: Installation, wanted: TaskFilter, *, limit: int) -> TaskPage:
    """The newest first. Raises ConfigError."""
    return tasks_page(installation, wanted, _OWNER, _kept, limit=limit)


def task_for_owner(installation: Installation, task_id: str) -> TrackedTask:
    """Raises UnknownTaskError, ConfigError."""
    return tracked(installation, task_id, _OWNER, _kept)
