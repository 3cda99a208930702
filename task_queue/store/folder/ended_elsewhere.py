"""Puts a task that ended elsewhere into a source's folders, as if it had ended there; it never waits in them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from task_queue.domain.document import naming
from task_queue.domain.model import Result
from task_queue.domain.task import TaskId
from task_queue.platform.records import encode
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.attempts import TRANSCRIPT
from task_queue.store.folder.files import make_attempt, publish_once
from task_queue.store.folder.layout import SNAPSHOT, Layout
from task_queue.store.folder.moves import StaysError
from task_queue.store.folder.needing import note_need


@dataclass(frozen=True, slots=True)
class AttemptFromElsewhere:
    """``document`` is what ran, ``lines`` are those of its transcript."""

    number: int
    document: bytes
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskFromElsewhere:
    record: TaskId
    document: bytes
    result: Result
    report: bytes
    attempts: tuple[AttemptFromElsewhere, ...]


def why_not_here(layout: Layout, record: TaskId, result: Result) -> str | None:
    """Why the folders cannot take it: they have another task of that id. Raises OSError."""
    archive = Archive(layout)
    there = archive.result_of(record)
    if there is not None and there.attempts[-1:] == result.attempts[-1:]:
        return None  # what an interrupted try left
    document = naming.document_of(record)
    waits = any(map(os.path.lexists, (layout.pending / document, layout.lock(document))))
    known = (
        archive.ended_state(record) is not None or there is not None or os.path.lexists(layout.log(record))
    )
    return f"{layout.root} has or had another task of that name" if waits or known else None


def file_ended(layout: Layout, task: TaskFromElsewhere) -> bool:
    """Idempotent; the document comes last. False if it was there before. Raises StaysError, OSError."""
    why = why_not_here(layout, task.record, task.result)
    if why is not None:
        raise StaysError(why)
    place = layout.ended(task.result.state) / naming.document_of(task.record)
    if os.path.lexists(place):
        return False
    if task.result.attention:  # first, so that no crash leaves a result that readers would not find
        note_need(layout, task.record)
    # Before the logs: by it the next try knows its own.
    publish_once(layout.result(task.record), encode(task.result))
    for attempt in task.attempts:
        folder = make_attempt(layout, task.record, attempt.number)
        publish_once(folder / SNAPSHOT, attempt.document)
        publish_once(folder / TRANSCRIPT, "".join(f"{line}\n" for line in attempt.lines).encode())
    if task.report:
        publish_once(layout.report(task.record), task.report)
    publish_once(place, task.document)
    return True
