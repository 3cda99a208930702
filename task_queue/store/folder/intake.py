"""Our own way into a queue: whole in ``staging/``, then renamed into ``pending/``."""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from datetime import datetime
from pathlib import Path

from task_queue.domain.document import naming
from task_queue.domain.errors import EngineUnavailable, QueueFull
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable
from task_queue.store.folder.layout import ARTIFACTS, Layout
from task_queue.store.folder.past_ends import past_end

_SLUG_LENGTH = 48


def drop(pending: Path, text: str, *, name: str, now: datetime, max_pending: int | None = None) -> TaskId:
    """Hand in *text* as a task named after *name* and return its id once it would survive a power cut.

    *name* is a description, or a task's file name, which is kept. Safe to call from many processes: every
    call gets an id of its own. Raises QueueFull, EngineUnavailable.
    """
    layout = Layout(pending)
    try:
        if max_pending is not None:
            demand_room(layout, max_pending)
        if (
            layout.pending.is_dir()
        ):  # a queue of the original system has no staging/ before our daemon was there
            durable.make_directory(layout.staging)
        return _handed_in(layout, text.encode(), stem_of(name, now))
    except OSError as error:
        where = error.filename or pending
        raise EngineUnavailable(
            f"{where}: {error.strerror}", hint="check the folder with: task-queue doctor"
        ) from error


def drop_as(pending: Path, text: str, task_id: TaskId) -> bool:
    """Hand in *text* as *task_id*, which is the name of no other task; False if it was there before.

    Its artifacts may have come before it.
    For one process at a time: what a killed one staged is replaced. Raises EngineUnavailable.
    """
    layout, document = Layout(pending), naming.document_of(task_id)
    try:
        durable.make_directory(layout.staging)
        if _was_used(layout, document) or _has_log(layout, task_id):
            return False
        staged = layout.staging / document
        durable.remove(staged)
        durable.publish(staged, text.encode())
        durable.move(staged, layout.pending / document)
    except OSError as error:
        where = error.filename or pending
        raise EngineUnavailable(
            f"{where}: {error.strerror}", hint="check the folder with: task-queue doctor"
        ) from error
    return True


def _has_log(layout: Layout, task_id: TaskId) -> bool:
    try:
        return any(name != ARTIFACTS for name in os.listdir(layout.log(task_id)))  # noqa: PTH208 - names only
    except FileNotFoundError:
        return False


def stem_of(name: str, now: datetime) -> str:
    """The id that a task named after *name* (see ``drop``) gets at *now*, unless it is taken."""
    if naming.why_not_a_task(name) is None:
        return naming.task_id_of(name)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:_SLUG_LENGTH].strip("-")
    return f"task-{now.astimezone():%Y%m%d-%H%M%S}-{slug or 'task'}"


def _handed_in(layout: Layout, data: bytes, stem: str) -> TaskId:
    for number in itertools.count(1):
        task_id = TaskId(stem if number == 1 else f"{stem}-{number}")
        document = naming.document_of(task_id)
        if _was_used(layout, document):
            continue
        staged = layout.staging / document
        try:
            durable.publish(staged, data)
        except FileExistsError:
            continue
        if _was_used(layout, document):  # by a task whose document was staged when we looked
            durable.remove(staged)
            continue
        try:
            durable.move(staged, layout.pending / document)
        except FileExistsError:
            durable.remove(staged)
            continue
        except OSError:
            durable.remove(staged)
            raise
        return task_id
    raise AssertionError("numbers do not end")


def _was_used(layout: Layout, document: str) -> bool:
    ended = (layout.ended(TaskState.COMPLETED), layout.ended(TaskState.FAILED))
    there = any(os.path.lexists(folder / document) for folder in (layout.pending, *ended))
    return there or past_end(layout, naming.task_id_of(document)) is not None


def demand_room(layout: Layout, max_pending: int) -> None:
    """Raises QueueFull where *max_pending* tasks wait already, OSError."""
    with os.scandir(layout.pending) as entries:
        names = [entry.name for entry in entries]
    documents = sum(naming.why_not_a_task(name) is None for name in names)
    locks = sum(name.startswith(".task-") and name.endswith(".lock") for name in names)
    if documents - locks >= max_pending:
        raise QueueFull(layout.pending, documents - locks, max_pending)
