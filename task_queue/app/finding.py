"""Which task a person or a program means, and where it stands."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from task_queue.app.answers import ListedSource
from task_queue.app.files import names_in, record, text_in
from task_queue.domain.document import naming
from task_queue.domain.errors import AmbiguousTaskError, UnknownTaskError
from task_queue.domain.task import ENDED, TaskId, TaskState
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.past_ends import past_end
from task_queue.store.folder.states import ended_state

_CANDIDATES_SHOWN = 5


class NotThereError(UnknownTaskError):
    """The task is there, and does not have what was asked for."""


class GoneError(NotThereError):
    """It had that, and has it no more."""


def task_named(text: str, sources: Sequence[ListedSource]) -> TaskId:
    """The task that *text* means: its id, the document's file name or path, or a unique part of the id.

    Raises UnknownTaskError where no id has that part, AmbiguousTaskError where several have it.
    """
    typed = TaskId(text.rpartition("/")[2].removesuffix(".md"))
    if state_of(sources, typed) is not None:
        return typed
    candidates = ids_with(sources, typed) if typed else []
    if not candidates:
        raise unknown_task(typed)
    if len(candidates) > 1:
        newest = candidates[-_CANDIDATES_SHOWN:]
        hidden = len(candidates) - len(newest)
        more = f" ({hidden} more have it)" if hidden else ""
        raise AmbiguousTaskError(
            f"'{typed}' is part of the ids of {len(candidates)} tasks",
            hint=f"name one of them: {', '.join(newest)}{more}",
        )
    return candidates[0]


def known_or_as_typed(text: str, sources: Sequence[ListedSource]) -> str:
    """The id that *text* means, or *text* where no task has it: not yet, or not any more.

    Raises AmbiguousTaskError.
    """
    try:
        return task_named(text, sources)
    except UnknownTaskError:
        return text


def found(sources: Sequence[ListedSource], task_id: TaskId) -> tuple[ListedSource, TaskState]:
    """The source of *task_id* and where it stands; raises UnknownTaskError."""
    answer = state_of(sources, task_id)
    if answer is None:
        raise unknown_task(task_id)
    return answer


def unknown_task(task_id: TaskId) -> UnknownTaskError:
    hint = "see what there is with: task-queue tasks list"
    return UnknownTaskError(f"there is no task {task_id}", hint=hint)


def unknown_or_pruned(sources: Sequence[ListedSource], task_id: TaskId) -> UnknownTaskError:
    """For a task without files: whether there was one."""
    place = state_of(sources, task_id)
    if place is None:
        return unknown_task(task_id)
    return UnknownTaskError(
        f"task {task_id} is {place[1]}, and its files are gone by retention",
        hint=f"see what happened with: task-queue events --task {shlex.quote(task_id)}",
    )


def state_of(sources: Sequence[ListedSource], task_id: TaskId) -> tuple[ListedSource, TaskState] | None:
    """Which source has *task_id*, and where it stands; cheap enough to ask again and again."""
    for listed in sources:
        folders = listed.folders
        ended = ended_state(folders, task_id)
        if ended is not None:
            return listed, ended
        for document in possible_documents(task_id):
            if _locked_id(folders.pending / naming.lock_of(document)) == task_id:
                return listed, TaskState.RUNNING
        if os.path.lexists(folders.pending / naming.document_of(task_id)):
            return listed, TaskState.PENDING
    for listed in sources:
        past = past_end(listed.folders, task_id)
        if past is not None and past.state is not None:
            return listed, past.state
    return None


def document_of(listed: ListedSource, task_id: TaskId, state: TaskState) -> Path:
    """Where the document of *task_id* is, which is in *state*; a running one's may have been deleted since."""
    folders = listed.folders
    if state in ENDED:
        return folders.ended(state) / naming.document_of(task_id)
    if state is TaskState.RUNNING:
        for document in possible_documents(task_id):
            if _locked_id(folders.pending / naming.lock_of(document)) == task_id:
                return folders.pending / document
    return folders.pending / naming.document_of(task_id)


def possible_documents(task_id: TaskId) -> set[str]:
    """What the document of *task_id* may be called in ``pending/``: a numbered record keeps the plain name."""
    return {naming.document_of(task_id), naming.document_of(naming.unnumbered(task_id))}


def ids_with(sources: Sequence[ListedSource], text: str) -> list[TaskId]:
    """Ids of tasks in which *text* occurs, in the order of their names; a running task's is its record's."""
    found: set[TaskId] = set()
    for listed in sources:
        folders = listed.folders
        names = names_in(folders.pending)
        claimed = _claimed(folders, names if isinstance(names, list) else [])
        found.update(task_id for task_id in claimed.values() if text in task_id)
        ended = [name for state in ENDED for name in _documents_in(folders.ended(state))]
        waiting = [name for name in _documents_in(folders.pending) if naming.lock_of(name) not in claimed]
        found.update(task_id for name in (*ended, *waiting) if text in (task_id := naming.task_id_of(name)))
    return sorted(found)


def _documents_in(folder: Path) -> list[str]:
    names = names_in(folder)
    return [name for name in names if naming.why_not_a_task(name) is None] if isinstance(names, list) else []


def _claimed(folders: Layout, names: Iterable[str]) -> dict[str, TaskId]:
    """The id in each readable lock, by the lock's name: ``task-a.md`` may run as ``task-a.2``."""
    found: dict[str, TaskId] = {}
    for name in names:
        if name.startswith(".task-") and name.endswith(".lock"):
            task_id = _locked_id(folders.pending / name)
            if task_id is not None:
                found[name] = task_id
    return found


def _locked_id(lock: Path) -> TaskId | None:
    content = record(lock)
    if content is None or isinstance(content, str):
        return None
    task_id = text_in(content, "task_id") or ""
    return TaskId(task_id) if naming.is_task_id(task_id) else None
