"""Handing in a task."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path

from task_queue.app.duplicates import demand_first
from task_queue.app.installation import Installation
from task_queue.app.room import room_in
from task_queue.app.standing import Standing, standing_in
from task_queue.app.user_actions import record_action
from task_queue.config.document import SourceEntry, layers_of, workspace_of
from task_queue.domain.document import naming
from task_queue.domain.document.layers import task_under
from task_queue.domain.document.ordering import Waiting, waiting_for
from task_queue.domain.document.settings import Settings
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import TaskFileError, TaskQueueError
from task_queue.domain.task import Task, TaskId
from task_queue.platform import durable
from task_queue.store.folder.intake import drop, stem_of


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


@dataclass(frozen=True, slots=True)
class Draft:
    """A document that is not in the queue yet; ``origin``: the file that it comes from, empty if from none."""

    text: str
    name: str | None = None
    """What the task is named after, if not after its title; see ``drop``."""
    origin: str = ""


def add(installation: Installation, draft: Draft, *, source: SourceEntry) -> Added:
    """Put *draft* into the queue of *source*.

    Raises TaskFileError if it could not run, DuplicateTask, QueueFull, EngineUnavailable, ConfigError.
    """
    _ = installation.config  # in order as a whole: it decides what agents may do
    task, settings = _task_of(installation, draft, source)
    demand_first(installation, task, settings, source=source.id)
    with room_in(installation, source) as max_pending:
        task_id = drop(
            source.path,
            draft.text,
            name=draft.name or task.title,
            now=installation.now(),
            max_pending=max_pending,
        )
    record_action(installation, "tasks add", source=source.id, task_id=task_id)
    return _added(installation, source, task_id)


def preview(installation: Installation, drafts: Sequence[Draft], *, source: SourceEntry) -> list[Added]:
    """What ``add`` would answer for each of *drafts*, added one after another; nothing is changed.

    The ids are those that they get unless these are taken. Raises TaskFileError, DuplicateTask, ConfigError.
    """
    answers: list[Added] = []
    ahead: list[Waiting] = []
    for draft in drafts:
        task, settings = _task_of(installation, draft, source)
        demand_first(installation, task, settings, source=source.id)
        now = installation.now()
        task_id = TaskId(stem_of(draft.name or task.title, now))
        dropped_at = naming.dropped_at(naming.document_of(task_id), written_at=now)
        waiting = waiting_for(
            replace(task, id=task_id),
            settings,
            dropped_at=dropped_at,
            ageing=layers_of(installation.content, source).ageing,
        )
        ahead.append(waiting)
        answers.append(_added(installation, source, task_id, also=ahead))
    return answers


def faults_of(installation: Installation, draft: Draft, *, source: SourceEntry) -> tuple[TaskFileError, ...]:
    """Why *draft* could not run in *source*, all of it; nothing if it could."""
    try:
        _task_of(installation, draft, source)
    except TaskFileError as error:
        return error.faults
    return ()


def _task_of(installation: Installation, draft: Draft, source: SourceEntry) -> tuple[Task, Settings]:
    return task_under(layers_of(installation.content, source), draft.text.encode(), TaskId("task-new"))


def _added(
    installation: Installation, source: SourceEntry, task_id: TaskId, *, also: Sequence[Waiting] = ()
) -> Added:
    circumstances = installation.circumstances()
    return Added(
        task_id,
        source.id,
        workspace_of(installation.content, source) or source.queue,
        standing_in(circumstances, source.id, task_id, also=also),
        circumstances.daemon.running,
    )


def drafts_in(patterns: Sequence[str]) -> list[Draft]:
    """A draft for each file that one of *patterns* (paths, or shell patterns) means. Raises TaskQueueError."""
    paths: dict[str, None] = {}
    for pattern in patterns:
        found = [pattern] if os.path.lexists(pattern) else sorted(_matching(pattern), key=naming.natural)
        paths.update(dict.fromkeys(found or [pattern]))
    return [Draft(read_document(Path(path)), kept_name(Path(path)), path) for path in paths]


def _matching(pattern: str) -> list[str]:
    return [path for path in glob(pattern, recursive=True) if Path(path).is_file()]  # noqa: PTH207 - with a folder in it


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
