"""What may be done with a task: front ends offer it, verbs refuse the rest."""

from __future__ import annotations

from enum import StrEnum

from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.task import ENDED, TaskId, TaskState


class ActionUnavailableError(UnknownTaskError):
    """The task is there, and in a ``state`` in which ``action`` is not available."""

    def __init__(self, message: str, *, action: Action, state: TaskState, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.action, self.state = action, state


class Action(StrEnum):
    """Also the name of the command: ``task-queue tasks ACTION TASK``; that of ``acknowledge`` is ``ack``."""

    CANCEL = "cancel"
    RETRY = "retry"
    EDIT = "edit"
    PRIORITY = "priority"
    MOVE = "move"
    ACKNOWLEDGE = "acknowledge"
    LAND = "land"
    UNDO = "undo"
    RM = "rm"


_OF_ENDED = frozenset({Action.ACKNOWLEDGE, Action.LAND, Action.UNDO})
_OF_WAITING = (Action.CANCEL, Action.EDIT, Action.PRIORITY, Action.MOVE, Action.RM)


def available_actions(
    state: TaskState,
    *,
    needs_person: bool = False,
    needs_look: bool = False,
    can_land: bool = False,
    can_undo: bool = False,
) -> tuple[Action, ...]:
    """The actions that work on a task in *state*, the most likely first.

    To cancel a task twice is one request. A failed task may be tried again, also when its attempts are used up;
    a waiting one where it is not tried again without a person (*needs_person*). What ended can be acknowledged while
    its result has something for a person that none has acknowledged (*needs_look*), and lands where it left a branch
    to do so (*can_land*); what has landed can be undone (*can_undo*).
    """
    if state is TaskState.PENDING and needs_person:
        return Action.RETRY, *(action for action in _OF_WAITING if action is not Action.MOVE)
    looked_at = (Action.ACKNOWLEDGE,) if needs_look and state in ENDED else ()
    match state:
        case TaskState.COMPLETED:
            landing = (*((Action.LAND,) if can_land else ()), *((Action.UNDO,) if can_undo else ()))
            return *landing, *looked_at, Action.RM
        case TaskState.FAILED:
            return Action.RETRY, *looked_at, Action.RM
        case TaskState.RUNNING:
            return (Action.CANCEL,)
        case TaskState.PENDING:
            return _OF_WAITING


def demand(action: Action, task_id: TaskId, state: TaskState, *, needs_person: bool = False) -> None:
    """Raises ActionUnavailableError, which names the state, unless *action* is available."""
    if action in available_actions(state, needs_person=needs_person):
        return
    if action is Action.RETRY:
        what, hint = f"task {task_id} is {state}, not failed", "only failed tasks can be retried"
    elif action in _OF_ENDED and state not in ENDED:
        what, hint = f"task {task_id} is {state}: it has to end first", None
    elif action is Action.UNDO:
        what, hint = f"task {task_id} is {state}, and has landed nothing that could be undone", None
    elif action is Action.LAND:
        what, hint = f"task {task_id} is {state}, and has no branch that could land", None
    elif state in ENDED:
        what, hint = f"task {task_id} has ended already ({state})", None
    else:
        what, hint = f"task {task_id} is {state}", f"end it first with: task-queue tasks cancel {task_id}"
    raise ActionUnavailableError(what, action=action, state=state, hint=hint)
