"""What may be done with a task, in each of its states."""

from __future__ import annotations

import pytest

from task_queue.domain.actions import Action, available_actions, demand
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.task import TaskId, TaskState

AVAILABLE = {
    TaskState.PENDING: {Action.CANCEL},
    TaskState.RUNNING: {Action.CANCEL},
    TaskState.COMPLETED: set[Action](),
    TaskState.FAILED: {Action.RETRY},
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
