"""What may be done with a task: front ends offer it, verbs refuse the rest."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.task import TaskId, TaskState


class Action(StrEnum):
    """Also the name of the command: ``task-queue tasks ACTION TASK``."""

    CANCEL = "cancel"
    RETRY = "retry"


def available_actions(state: TaskState, *, needs_person: bool = False) -> tuple[Action, ...]:
    """The actions that work on a task in *state*, the most likely first.

    To cancel a task twice is one request. A failed task may be tried again, also when its attempts are used up;
    a waiting one where it is not tried again without a person (*needs_person*).
    """
    match state:
        case TaskState.PENDING if needs_person:
            return Action.RETRY, Action.CANCEL
        case TaskState.PENDING | TaskState.RUNNING:
            return (Action.CANCEL,)
        case TaskState.FAILED:
            return (Action.RETRY,)
        case TaskState.COMPLETED:
            return ()
        case _:
            assert_never(state)


def demand(action: Action, task_id: TaskId, state: TaskState, *, needs_person: bool = False) -> None:
    """Raises UnknownTaskError, which names the state, unless *action* is available."""
    if action in available_actions(state, needs_person=needs_person):
        return
    match action:
        case Action.CANCEL:
            raise UnknownTaskError(f"task {task_id} has ended already ({state})")
        case Action.RETRY:
            raise UnknownTaskError(
                f"task {task_id} is {state}, not failed", hint="only failed tasks can be retried"
            )
        case _:
            assert_never(action)
