"""One action on every task that matches, with an answer for each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from task_queue.app import acknowledging, changing, retrying, revising
from task_queue.app.installation import Installation
from task_queue.app.tracked_task import TaskFilter, TrackedTask
from task_queue.app.tracking import KeptDocuments, demand_change, tracked_tasks
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.policy import Caller
from task_queue.domain.task import TaskId


class BulkAction(StrEnum):
    """What may be done to many tasks at once."""

    CANCEL = "cancel"
    RETRY = "retry"
    ACKNOWLEDGE = "acknowledge"
    PRIORITY = "priority"


@dataclass(frozen=True, slots=True)
class BulkChange:
    """``priority``: for the action of that name."""

    action: BulkAction
    priority: int = 5
    dry_run: bool = False
    """Only say which tasks match, and which of them *caller* may not change."""


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """``task`` as it was before; ``error``: why nothing was done."""

    task: TrackedTask
    done: bool
    error: TaskQueueError | None = None


def change_each(
    installation: Installation,
    wanted: TaskFilter,
    change: BulkChange,
    caller: Caller,
    kept: KeptDocuments,
    *,
    ids: Collection[str] = (),
) -> Iterator[BulkOutcome]:
    """*ids*: only these of those that match, if any is given. Raises ConfigError, OSError."""
    for task in tracked_tasks(installation, wanted, caller, kept):
        if ids and task.id not in ids:
            continue
        try:
            demand_change(installation, task.id, caller, kept)
            if not change.dry_run:
                _DONE_BY[change.action](installation, task.id, change)
        except TaskQueueError as error:
            yield BulkOutcome(task, done=False, error=error)
        else:
            yield BulkOutcome(task, done=not change.dry_run)


_DONE_BY: dict[BulkAction, Callable[[Installation, TaskId, BulkChange], object]] = {
    BulkAction.CANCEL: lambda installation, task_id, _: changing.cancel(installation, task_id, timeout_s=0),
    BulkAction.RETRY: lambda installation, task_id, _: retrying.retry(installation, task_id),
    BulkAction.ACKNOWLEDGE: lambda installation, task_id, _: acknowledging.acknowledge(
        installation, [task_id]
    ),
    BulkAction.PRIORITY: lambda installation, task_id, change: revising.prioritize(
        installation, task_id, change.priority
    ),
}
