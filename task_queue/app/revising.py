"""``edit``, ``priority``, ``move`` and ``rm``: a person changes a task that waits, or takes one out of the queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from task_queue.app.adding import Draft, decoded, faults_of
from task_queue.app.answers import ListedSource
from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.app.room import room_in
from task_queue.app.standing import Standing, standing_in
from task_queue.app.user_actions import record_action
from task_queue.domain.actions import Action, demand
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.document.writing import with_keys
from task_queue.domain.errors import TaskFileError, TaskMovedOn, TaskQueueError
from task_queue.domain.task import TaskId, TaskState
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.revising import Revising


@dataclass(frozen=True, slots=True)
class Opened:
    """A waiting document as it was when a person began to change it."""

    task_id: TaskId
    source: str
    text: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Revised:
    """A task that waits as a person wants it. ``standing``: see ``Added``."""

    task_id: TaskId
    source: str
    standing: Standing | None


@dataclass(frozen=True, slots=True)
class Removed:
    task_id: TaskId
    source: str
    state: TaskState
    """Where it was."""
    kept: Path
    """Its document; result and report of an ended task are beside it."""
    dependents: tuple[TaskId, ...]
    """Waiting tasks that depend on it, and go on waiting."""


def opened(installation: Installation, task_id: TaskId) -> Opened:
    """The document of the waiting *task_id*, for ``edit``. Raises UnknownTaskError, TaskQueueError, ConfigError."""
    listed, revising = _waiting(installation, task_id, Action.EDIT)
    data = revising.text(task_id)
    return Opened(task_id, listed.id, decoded(data, task_id), data)


def edit(installation: Installation, before: Opened, text: str, *, source_id: str | None = None) -> Revised:
    """Let the task say *text*, if it waits as it was *opened*; in the source *source_id*, if given, all in one.

    Raises TaskMovedOn if not, TaskFileError if it could not run, EngineUnavailable, ConfigError; and as ``move``.
    """

    def changed(data: bytes) -> bytes:
        if data != before.data:
            raise TaskMovedOn(
                f"the document of {before.task_id} was changed meanwhile",
                hint=f"see it with: task-queue tasks show {before.task_id}",
            )
        return text.encode()

    _demand_runnable(installation, text, source_id or before.source)
    if source_id is not None:
        return _moved(installation, before.task_id, source_id, changed)
    _, revising = _waiting(installation, before.task_id, Action.EDIT)
    revising.rewrite(before.task_id, changed)
    record_action(installation, "tasks edit", source=before.source, task_id=before.task_id)
    return _revised(installation, before.source, before.task_id)


def prioritize(installation: Installation, task_id: TaskId, priority: int) -> Revised:
    """Write *priority* into the waiting document; everything else in it stays byte for byte.

    Raises UnknownTaskError, TaskMovedOn, TaskFileError where its front matter cannot be changed, EngineUnavailable.
    """

    def changed(data: bytes) -> bytes:
        if len(data) > MAX_BYTES:
            raise TaskQueueError(f"the document of {task_id} is larger than {MAX_BYTES:,} bytes")
        try:
            return with_keys(data.decode(), {"priority": str(priority)}).encode()
        except UnicodeDecodeError as error:
            raise TaskQueueError(f"{task_id}: byte {error.start} is not UTF-8") from None

    listed, revising = _waiting(installation, task_id, Action.PRIORITY)
    revising.rewrite(task_id, changed)
    record_action(installation, "tasks priority", source=listed.id, task_id=task_id, priority=priority)
    return _revised(installation, listed.id, task_id)


def move(installation: Installation, task_id: TaskId, source_id: str) -> Revised:
    """Let the waiting *task_id* wait in the source *source_id*.

    Raises UnknownTaskError, TaskMovedOn, QueueFull, TaskFileError if it could not run there, and TaskQueueError with
    the reason where it cannot go there: it was tried, or the name is taken.
    """

    def unchanged(data: bytes) -> bytes:
        _demand_runnable(installation, decoded(data, task_id), source_id)
        return data

    return _moved(installation, task_id, source_id, unchanged)


def _moved(
    installation: Installation, task_id: TaskId, source_id: str, change: Callable[[bytes], bytes]
) -> Revised:
    target = installation.entry(source_id)
    listed, revising = _waiting(installation, task_id, Action.MOVE)
    if target.id == listed.id:
        raise TaskQueueError(f"task {task_id} waits in {listed.id} already")
    with room_in(installation, target) as max_pending:
        revising.move(task_id, Layout(target.path), max_pending=max_pending, change=change)
    record_action(installation, "tasks move", source=listed.id, task_id=task_id, to=target.id)
    return _revised(installation, target.id, task_id)


def remove(installation: Installation, task_id: TaskId) -> Removed:
    """Take *task_id*, which waits or has ended, out of the queue; its document and all that it left are kept.

    Raises UnknownTaskError, TaskMovedOn, EngineUnavailable, ConfigError.
    """
    installation.demand_trust()
    listed, state = found(installation.sources(), task_id)
    demand(Action.RM, task_id, state)
    kept = FolderEngine(listed.folders.pending).revising.remove(task_id, state)
    record_action(installation, "tasks rm", source=listed.id, task_id=task_id)
    return Removed(task_id, listed.id, state, kept, _dependents(installation, task_id))


def _waiting(installation: Installation, task_id: TaskId, action: Action) -> tuple[ListedSource, Revising]:
    installation.demand_trust()
    listed, state = found(installation.sources(), task_id)
    demand(action, task_id, state)
    return listed, FolderEngine(listed.folders.pending).revising


def _demand_runnable(installation: Installation, text: str, source_id: str) -> None:
    faults = faults_of(installation, Draft(text), source=installation.entry(source_id))
    if faults:
        raise TaskFileError.of(faults)


def _revised(installation: Installation, source_id: str, task_id: TaskId) -> Revised:
    return Revised(task_id, source_id, standing_in(installation.circumstances(), source_id, task_id))


def _dependents(installation: Installation, task_id: TaskId) -> tuple[TaskId, ...]:
    circumstances = installation.circumstances()
    found_in: list[TaskId] = []
    for listed in circumstances.sources:
        try:
            waiting = circumstances.snapshots.survey(listed.id).waiting
        except OSError:
            continue
        found_in += [each.id for each in waiting if task_id in each.depends_on]
    return tuple(found_in)
