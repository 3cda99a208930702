"""What may be done with a task, in each of its states."""

from __future__ import annotations

import pytest

from task_queue.domain.actions import Action, available_actions, demand
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.task import TaskId, TaskState

AVAILABLE = {
    TaskState.PENDING: {Action.CANCEL, Action.EDIT, Action.PRIORITY, Action.MOVE, Action.RM},
    TaskState.RUNNING: {Action.CANCEL},
    TaskState.COMPLETED: {Action.RM},
    TaskState.FAILED: {Action.RETRY, Action.RM},
}


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("action", Action)
def test_an_action_is_demanded_where_it_is_available_and_refused_elsewhere(
    state: TaskState, action: Action
) -> None:
    """The refusal names the task and its state."""
    assert (action in available_actions(state)) == (action in AVAILABLE[state])
    if action in AVAILABLE[state]:
        demand(action, TaskId("task-a"), state)
        return
    with pytest.raises(UnknownTaskError) as caught:
        demand(action, TaskId("task-a"), state)

    assert "task-a" in str(caught.value)
    assert state.value in str(caught.value)


def test_what_ended_lands_and_is_acknowledged_where_that_does_something() -> None:
    """What runs or waits does neither, whatever an earlier result said."""
    needs = {"needs_look": True, "can_land": True}

    assert available_actions(TaskState.COMPLETED, **needs) == (Action.LAND, Action.ACKNOWLEDGE, Action.RM)
    assert available_actions(TaskState.FAILED, **needs) == (Action.RETRY, Action.ACKNOWLEDGE, Action.RM)
    assert not {Action.LAND, Action.ACKNOWLEDGE} & {*available_actions(TaskState.PENDING, **needs)}
    assert available_actions(TaskState.RUNNING, **needs) == (Action.CANCEL,)


def test_a_task_that_was_tried_does_not_leave_its_source() -> None:
    """It waits for a person, who can do everything else with it."""
    assert available_actions(TaskState.PENDING, needs_person=True) == (
        Action.RETRY,
        Action.CANCEL,
        Action.EDIT,
        Action.PRIORITY,
        Action.RM,
    )
