"""What waits in a source, in the order in which it would run, and why each task waits."""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from task_queue.app.answers import Folders, WaitingView
from task_queue.app.files import record, records_in, time_in
from task_queue.domain.document import naming
from task_queue.domain.task import TaskId, TaskState

if TYPE_CHECKING:
    from task_queue.domain.attempt.retry import Delay
    from task_queue.domain.document.ordering import Waiting

READ_LIMIT = 500
"""With more documents than this none is read: 100,000 must not make ``status`` slow."""


def waiting_in(
    folders: Folders, names: Collection[str], *, now: datetime, running: Collection[TaskId], shown: int
) -> tuple[list[WaitingView], bool]:
    """The first *shown* of the waiting documents *names*, and whether their order is known."""
    if not names:
        return [], True
    if len(names) > READ_LIMIT:
        return _by_name(names, shown), False
    from task_queue.app import documents
    from task_queue.domain.document.ordering import delayed_until, reasons_for

    waiting: dict[TaskId, Waiting] = {}
    rejected: dict[TaskId, str] = {}
    tries: dict[TaskId, int] = {}
    for name in names:
        task_id = naming.task_id_of(name)
        tries[task_id], next_try = _history(folders, name)
        found = documents.waiting_in(folders.pending, name, next_try=next_try)
        if isinstance(found, str):
            rejected[task_id] = found
        elif found is not None:
            waiting[task_id] = found

    def state_of(task_id: TaskId) -> TaskState | None:
        if task_id in running:
            return TaskState.RUNNING
        if task_id in waiting or task_id in rejected:
            return TaskState.PENDING
        return ended_state(folders, task_id)

    reasons = reasons_for(waiting.values(), now=now, state_of=state_of, running=len(running))
    views = [
        WaitingView(
            task_id=task_id,
            title=waiting[task_id].title,
            priority=waiting[task_id].priority,
            why="cancelled, as soon as the daemon runs" if _is_cancelled(folders, task_id) else why,
            attempts=tries[task_id],
            not_before=delayed_until(waiting[task_id], now),
        )
        for task_id, why in reasons.items()
    ]
    views += [
        WaitingView(task_id, "", 0, f"will be rejected: {why}", tries[task_id])
        for task_id, why in rejected.items()
    ]
    return views[:shown], True


def ended_state(folders: Folders, task_id: TaskId) -> TaskState | None:
    """COMPLETED or FAILED by where the document of *task_id* lies, None if in neither."""
    document = naming.document_of(task_id)
    for state in (TaskState.COMPLETED, TaskState.FAILED):
        if os.path.lexists(folders.ended(state) / document):
            return state
    return None


def _by_name(names: Collection[str], shown: int) -> list[WaitingView]:
    import heapq

    why = "in the order of names"
    return [WaitingView(naming.task_id_of(name), "", 5, why) for name in heapq.nsmallest(shown, names)]


def _history(folders: Folders, name: str) -> tuple[int, Delay | None]:
    journal = record(folders.journal(name))
    if journal is None or isinstance(journal, str):
        return 0, None
    from task_queue.domain.attempt.retry import Delay

    attempts = list(records_in(journal, "attempts"))
    since = time_in(attempts[-1], "ended_at") if attempts else None
    until = time_in(journal, "not_before")
    return len(attempts), None if since is None or until is None else Delay(since, until)


def _is_cancelled(folders: Folders, task_id: TaskId) -> bool:
    return os.path.lexists(folders.cancel(naming.document_of(task_id)))
