"""``tasks land``: the branch of a task that is done is merged now, by the rules of its own last phase."""

from __future__ import annotations

import os
from dataclasses import dataclass

from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.daemon.landings import InForce, after_landing, landing_process, order_to_land
from task_queue.domain.actions import Action, ActionUnavailableError
from task_queue.domain.attempt.needs import is_landed, is_undone
from task_queue.domain.events import TaskLanded
from task_queue.domain.model import Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.work.undoing import UndoWay
from task_queue.ports.landing import LandingRequest
from task_queue.store.folder.amending import read_result


@dataclass(frozen=True, slots=True)
class LandedTask:
    """Where the task's branch is now."""

    task_id: TaskId
    source: str
    is_in_target: bool
    said: str


def land(installation: Installation, task_id: TaskId) -> LandedTask:
    """Check what would land, and merge it where that passes; a branch that is merged already is left as it is.

    Also one that was to be left for a person. Takes as long as the task's checks. Raises UnknownTaskError,
    ActionUnavailableError where there is no branch to land, GitError, ConfigError, OSError.
    """
    installation.demand_trust()
    config = installation.config
    listed, state = found(installation.sources(), task_id)
    result = read_result(listed.folders, task_id)
    landing = (result.product.landing if result else None) or {}
    if result is None or state is not TaskState.COMPLETED or not landing:
        raise ActionUnavailableError(
            f"task {task_id} is {state}, and has no branch that could land",
            action=Action.LAND,
            state=state,
            hint=_hint(state, result),
        )
    if is_undone(result) and landing.get("way") != UndoWay.MOVE_BACK:
        commit = landing.get("reverted_by")
        raise ActionUnavailableError(
            f"task {task_id} was undone, and its commits are in {landing.get('target')} already",
            action=Action.LAND,
            state=state,
            hint=f"bring it back by hand: git revert {str(commit)[:12] if commit else 'COMMIT'}",
        )
    if is_landed(result):
        return LandedTask(task_id, listed.id, is_in_target=True, said=str(result.product.landed))
    source = config.source(listed.id)
    assert source is not None
    order = order_to_land(InForce(installation.locations, config, os.environ), source, result)
    product = landing_process(LandingRequest(order, result.product, check_anew=True)).answer()
    after = after_landing(listed.folders, result, product)
    is_in_target = is_landed(after)
    said = str(after.product.landed if is_in_target else product.landed)
    events = (TaskLanded(listed.id, task_id, said),) if is_in_target else ()
    record_action(installation, "tasks land", *events, source=listed.id, task_id=task_id)
    return LandedTask(task_id, listed.id, is_in_target, said)


def _hint(state: TaskState, result: Result | None) -> str:
    if state is not TaskState.COMPLETED:
        return f"it is {state}; only what was done and verified can land"
    if result is None or result.product.isolation != "worktree":
        return "it worked in place: its commits are on the branch that was checked out there"
    return "it made no commit, or ended before results said where a branch is to land"
