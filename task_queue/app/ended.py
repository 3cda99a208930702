"""What ended: the line of one task, and the last few of a source."""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Iterator

from task_queue.app.answers import ListedSource, TaskLine
from task_queue.app.documents import title_of
from task_queue.app.files import number_in, record, text_in, time_in
from task_queue.domain.document import naming
from task_queue.domain.task import ENDED, TaskId, TaskState

_LOOK_AT = 10_000
"""Of more documents in one folder it is not asked when each was moved there: then names decide."""


def last_ended(listed: ListedSource, limit: int) -> tuple[TaskLine, ...]:
    """The *limit* tasks of the source that ended last, the newest first."""
    moved = [found for state in ENDED for found in _moved(listed, state)]
    newest = heapq.nlargest(limit, moved)
    return tuple(ended_line(listed, state, naming.task_id_of(name)) for _, name, state in newest)


def _moved(listed: ListedSource, state: TaskState) -> Iterator[tuple[float, str, TaskState]]:
    """When each document got its place (a move changes ctime), its name, and *state*."""
    with contextlib.suppress(OSError), os.scandir(listed.folders.ended(state)) as entries:
        documents = [entry for entry in entries if naming.why_not_a_task(entry.name) is None]
        for entry in documents:
            moved_at = 0.0
            if len(documents) <= _LOOK_AT:
                with contextlib.suppress(OSError):
                    moved_at = entry.stat(follow_symlinks=False).st_ctime
            yield moved_at, entry.name, state


def ended_line(listed: ListedSource, state: TaskState, task_id: TaskId) -> TaskLine:
    title = title_of(listed.folders.ended(state) / naming.document_of(task_id))
    result = record(listed.folders.result(task_id))
    if result is None or isinstance(result, str):
        note = "no result" if result is None else f"its result {result}"
        return TaskLine(task_id, listed.id, state, title, note)
    note = text_in(result, "outcome") or ("succeeded" if result.get("success") is True else "failed")
    return TaskLine(
        task_id,
        listed.id,
        state,
        title,
        note,
        time_in(result, "completed_at"),
        number_in(result, "total_cost_usd"),
    )
