"""Handing in a task."""

from __future__ import annotations

import contextlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from task_queue.app.circumstances import Circumstances
from task_queue.app.installation import Installation
from task_queue.app.standing import Standing, standing_in
from task_queue.app.user_actions import record_action
from task_queue.config.document import SourceEntry, layers_of, workspace_of
from task_queue.domain.document import naming
from task_queue.domain.document.layers import task_under
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.store.folder.intake import drop


@dataclass(frozen=True, slots=True)
class Added:
    """A task that is in the queue, and would survive a power cut."""

    task_id: TaskId
    source: str
    directory: Path
    """Where tasks of the source work; its queue folder if each names its own directory."""
    standing: Standing | None
    """Where it waits; None if that is not known, or it is running already."""
    daemon_runs: bool
    """Else the task waits until a person starts one."""


def add(installation: Installation, document: str, *, source: SourceEntry, name: str | None = None) -> Added:
    """Put *document* into the queue of *source*, named after *name* or its title (see ``drop``).

    Raises TaskFileError if it could not run, QueueFull, EngineUnavailable, ConfigError.
    """
    limits = installation.config.limits
    task, _ = task_under(layers_of(installation.content, source), document.encode(), TaskId("task-new"))
    task_id = drop(
        source.path,
        document,
        name=name or task.title,
        now=installation.now(),
        max_pending=limits.max_pending,
    )
    record_action(installation, "tasks add", source=source.id, task_id=task_id)
    circumstances = installation.circumstances()
    return Added(
        task_id,
        source.id,
        workspace_of(installation.content, source) or source.queue,
        _standing(circumstances, source.id, task_id),
        circumstances.daemon.running,
    )


def _standing(circumstances: Circumstances, source: str, task_id: TaskId) -> Standing | None:
    listed = next(each for each in circumstances.sources if each.id == source)
    try:
        return standing_in(circumstances, listed, task_id)
    except OSError:
        return None  # it is in the queue, whatever happened to the folder since


def read_document(path: Path) -> str:
    """The text in the regular file at *path*, links followed; raises TaskQueueError."""
    return decoded(bytes_of(path), str(path))


def bytes_of(path: Path) -> bytes:
    """What is in the regular file at *path*, links followed, to a little over the limit; raises TaskQueueError."""
    try:
        data, _ = durable.read_regular(Path(os.path.realpath(path)), limit=MAX_BYTES)
    except OSError as error:
        raise TaskQueueError(f"{path}: {error.strerror}") from error
    return data


def decoded(data: bytes, where: str) -> str:
    """*data* from *where* as text; raises TaskQueueError if it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaskQueueError(f"{where}: byte {error.start} is not UTF-8", hint="save it as UTF-8") from None


def kept_name(path: Path) -> str | None:
    """The name of a file that is named like a task already, None if it is not."""
    return path.name if naming.why_not_a_task(path.name) is None else None


def demand_no_file_name(text: str) -> None:
    """Raises TaskQueueError: an agent that is given nothing but a path would guess what to do with it."""
    with contextlib.suppress(OSError, ValueError):  # a text is seldom a possible name
        if Path(text).is_file():
            raise TaskQueueError(
                f"{text} is a file, and would be the whole text of the task",
                hint=f"to hand in what it says: task-queue tasks add --file {shlex.quote(text)}",
            )
