"""``cancel``, and ``retry`` of many: a person or a program changes what becomes of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from task_queue.app.answers import ListedSource, RunningView
from task_queue.app.daemon_state import daemon_from
from task_queue.app.ended import last_ended
from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.app.listing import show_of
from task_queue.app.retrying import Retried, retry
from task_queue.app.user_actions import record_action
from task_queue.domain.actions import Action, ActionUnavailableError, demand
from task_queue.domain.attempt.retry_wish import NO_WISH, RetryWish
from task_queue.domain.errors import ConfigError, TaskMovedOn, TaskQueueError
from task_queue.domain.events import CancelAsked
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import identity
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.holding import held

CANCEL_TAKES_S = 90.0
_POLL_S = 0.1
_EVERY = 10**9


class Cancelling(StrEnum):
    """What became of a request to cancel, as far as was waited for."""

    CANCELLED = "cancelled"
    """The task has ended, and no process that it started is left."""
    COMPLETED_BEFORE = "completed before"
    """It was done before the request arrived."""
    REQUESTED = "requested"
    """The daemon does not run; it ends the task when it starts."""
    STILL_RUNNING = "still running"
    """The time to wait is over; the request stands."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    task_id: TaskId
    how: Cancelling
    ran: bool
    """It was running when the request was made."""
    agent_goes_on: bool = False
    """With ``requested``: its agent works until the daemon starts."""


def cancel(installation: Installation, task_id: TaskId, *, timeout_s: float = CANCEL_TAKES_S) -> Cancelled:
    """End the waiting or running *task_id* for good, its whole process tree included.

    Waits up to *timeout_s* for that, unless the daemon does not run. Raises UnknownTaskError if it is not
    there or has ended, EngineUnavailable, ConfigError.
    """
    installation.demand_trust()
    sources = installation.sources()
    listed, state = found(sources, task_id)
    view = show_of(installation.circumstances(), task_id)
    running = view.running if view else None
    demand(Action.CANCEL, task_id, state)
    FolderEngine(listed.folders.pending).requests.request_cancel(task_id)
    return _follow_up(installation, sources, listed, running, task_id, timeout_s=timeout_s)


def _follow_up(
    installation: Installation,
    sources: tuple[ListedSource, ...],
    listed: ListedSource,
    running: RunningView | None,
    task_id: TaskId,
    *,
    timeout_s: float,
) -> Cancelled:
    """Record the request that was made just now; what becomes of it, as far as that is seen within *timeout_s*."""
    asked = CancelAsked(listed.id, task_id)
    record_action(installation, "tasks cancel", asked, source=listed.id, task_id=task_id)
    ran = running is not None
    if not daemon_from(installation.locations.daemon_state)[0].running:
        agent_goes_on = running is not None and running.runner in {"alive", "elsewhere", "unknown", "remote"}
        return Cancelled(task_id, Cancelling.REQUESTED, ran, agent_goes_on)
    ended = _end_of(installation, sources, task_id, running, timeout_s=timeout_s)
    match ended:
        case None:
            return Cancelled(task_id, Cancelling.STILL_RUNNING, ran)
        case TaskState.COMPLETED:
            return Cancelled(task_id, Cancelling.COMPLETED_BEFORE, ran)
        case _:
            return Cancelled(task_id, Cancelling.CANCELLED, ran)


def withdraw(installation: Installation, task_id: TaskId, *, timeout_s: float = CANCEL_TAKES_S) -> Cancelled:
    """Cancel *task_id* only where it waits: no claim can begin while the request is made.

    Raises as ``cancel``; ActionUnavailableError where it runs.
    """
    installation.demand_trust()
    sources = installation.sources()
    listed, state = found(sources, task_id)
    demand(Action.CANCEL, task_id, state)
    try:
        with held(listed.folders, task_id):
            FolderEngine(listed.folders.pending).requests.request_cancel(task_id)
    except TaskMovedOn:
        _, state = found(sources, task_id)
        if state is not TaskState.RUNNING:
            raise
        raise ActionUnavailableError(
            f"task {task_id} is running", action=Action.CANCEL, state=state, hint="stop it with: cancel"
        ) from None
    return _follow_up(installation, sources, listed, None, task_id, timeout_s=timeout_s)


@dataclass(frozen=True, slots=True)
class NotRetried:
    """A task that was not retried, and why."""

    task_id: TaskId
    why: str


def dead_letters(installation: Installation, source_id: str | None = None) -> list[TaskId]:
    """Tasks that failed and whose attempts are used up, those that ended last first."""
    found: list[TaskId] = []
    for listed in installation.sources(source_id):
        lines, _ = last_ended(listed, _EVERY, (TaskState.FAILED,), wanted=lambda task: task.dead_letter)
        found += [line.task_id for line in lines]
    return found


def retry_each(
    installation: Installation, task_ids: Iterable[TaskId], wish: RetryWish = NO_WISH
) -> Iterator[Retried | NotRetried]:
    """Try one after another again; what cannot be is said, and the others go on. Raises ConfigError."""
    for task_id in task_ids:
        try:
            yield retry(installation, task_id, wish)
        except ConfigError:
            raise
        except TaskQueueError as error:
            yield NotRetried(task_id, error.in_full)


def _end_of(
    installation: Installation,
    sources: tuple[ListedSource, ...],
    task_id: TaskId,
    running: RunningView | None,
    *,
    timeout_s: float,
) -> TaskState | None:
    """How it ended, once nothing that it started is left; None if that takes longer."""
    deadline = installation.clock.monotonic() + timeout_s
    while installation.clock.monotonic() < deadline:
        state = found(sources, task_id)[1]
        if state.ended and not (running and identity.bearers(running.marker)):
            return state
        installation.sleep(_POLL_S)
    return None
