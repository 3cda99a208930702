"""Refuses what the daemon would reject: a task whose ``dedupe_key`` one has that waits or runs."""

from __future__ import annotations

from task_queue.app.installation import Installation
from task_queue.domain.document.duplicates import Keyed, key_of, why_duplicate
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.task import Task


class DuplicateTask(TaskQueueError):  # noqa: N818 - a state of the queue, as QueueFull
    """Another task waits or runs that has its ``dedupe_key``: ``first``."""

    def __init__(self, message: str, first: Keyed, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.first = first


def demand_first(installation: Installation, task: Task, settings: Settings, *, source: str) -> None:
    """Raises DuplicateTask that names the first one.

    Where very many tasks wait, none of them is read: the daemon, which knows them all, then rejects the task.
    """
    key = key_of(settings.dedupe_key, task.body)
    if key is None:
        return
    first = installation.circumstances().snapshots.first_with(key)
    if first is not None:
        raise DuplicateTask(
            why_duplicate(first, source=source),
            first,
            hint=f"wait until it has ended, or cancel it: task-queue tasks cancel {first.id}",
        )
