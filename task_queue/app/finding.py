"""Which task a person or a program means, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from task_queue.app.answers import ListedSource
from task_queue.app.listing import ids_with, state_of
from task_queue.domain.errors import AmbiguousTaskError, UnknownTaskError
from task_queue.domain.task import TaskId, TaskState

_CANDIDATES_SHOWN = 5


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
