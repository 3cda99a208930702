"""Holds a waiting document still while a person changes it: open for writing, so that no claim can begin.

A claim looks for writers before it publishes its lock and once more after. So where there is no lock while the
document is held, none comes. The kernel ends the hold with its process, wherever that is killed.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import EngineUnavailable, TaskMovedOn
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.lockfile import locked_itself
from task_queue.store.folder.intake_check import is_being_written, why_not_a_document
from task_queue.store.folder.layout import Layout


@contextmanager
def held(layout: Layout, task_id: TaskId) -> Generator[bytes]:
    """What the waiting document of *task_id* says; within, nothing claims it and no other command changes it.

    Raises TaskMovedOn if it does not wait any more, EngineUnavailable where nothing can be held, OSError.
    """
    document = naming.document_of(task_id)
    path = layout.pending / document
    try:
        with locked_itself(path) as is_there:
            why = why_not_a_document(path.lstat()) if is_there else None
            if why is not None:
                raise EngineUnavailable(f"{path} {why}")
            if not is_there:
                raise TaskMovedOn(f"the document of {task_id} was moved or replaced just now")
            writer = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY)
            try:
                yield _still(layout, path, task_id, writer)
            finally:
                os.close(writer)
    except FileNotFoundError as error:
        if error.filename != str(path):
            raise
        raise TaskMovedOn(f"task {task_id} does not wait any more") from error


def _still(layout: Layout, path: Path, task_id: TaskId, writer: int) -> bytes:
    if not is_being_written(path):
        raise EngineUnavailable(
            f"{path.parent}: this file system cannot keep a document from being claimed while it is changed",
            hint="pause the source, and change the document by hand",
        )
    if os.path.lexists(layout.lock(path.name)):
        raise TaskMovedOn(f"task {task_id} has begun", hint=f"end it with: task-queue tasks cancel {task_id}")
    data, about = durable.read_regular(path, limit=MAX_BYTES)
    if not os.path.samestat(about, os.fstat(writer)):
        raise TaskMovedOn(f"the document of {task_id} was replaced just now")
    return data
