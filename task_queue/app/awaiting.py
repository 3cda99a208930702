"""``wait``: how tasks end, as they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from task_queue.app.answers import ListedSource
from task_queue.app.event_feed import EventReader, LoggedEvent
from task_queue.app.files import record, text_in
from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.domain.task import TaskId, TaskState

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class TaskEnd:
    task_id: TaskId
    state: TaskState
    outcome: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class WaitTimedOut:
    """The time to wait is over, and these have not ended."""

    task_ids: tuple[TaskId, ...]


def wait(
    installation: Installation,
    task_ids: Sequence[TaskId],
    *,
    timeout_s: float | None = None,
    since: EventReader | None = None,
) -> Iterator[LoggedEvent | TaskEnd | WaitTimedOut]:
    """Each of *task_ids* as it ends; last a WaitTimedOut if *timeout_s* was too short. Raises UnknownTaskError.

    In between the events of these tasks that *since* has not read yet.
    """
    sources = installation.sources()
    deadline = None if timeout_s is None else installation.clock.monotonic() + timeout_s
    left = list(dict.fromkeys(task_ids))
    while True:
        ends = [(task_id, *found(sources, task_id)) for task_id in left]
        if since is not None:
            yield from _events_of(left, since)
        for task_id, listed, state in ends:
            if state.ended:
                left.remove(task_id)
                yield _ended(listed, task_id, state)
        if not left:
            return
        if deadline is not None and installation.clock.monotonic() >= deadline:
            yield WaitTimedOut(tuple(left))
            return
        installation.sleep(_POLL_S)


def _events_of(task_ids: Sequence[TaskId], since: EventReader) -> Iterator[LoggedEvent]:
    with suppress(OSError):  # a log that cannot be read keeps nothing from ending
        yield from (event for event in since.events() if event.task_id in task_ids)


def _ended(listed: ListedSource, task_id: TaskId, state: TaskState) -> TaskEnd:
    result = record(listed.folders.result(task_id))
    if result is None or isinstance(result, str):
        return TaskEnd(task_id, state, None, None)
    return TaskEnd(task_id, state, text_in(result, "outcome"), text_in(result, "error"))
