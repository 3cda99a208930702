"""``tasks undo``: what a task has landed is taken back, once its checks pass without it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.daemon.landings import EndedTaskProcess, InForce, after_undoing, order_to_land
from task_queue.domain.actions import Action, ActionUnavailableError
from task_queue.domain.attempt.needs import is_undone
from task_queue.domain.errors import GitError
from task_queue.domain.events import TaskUndone
from task_queue.domain.model import Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.work.undoing import CannotUndo, Undone, UndoWay
from task_queue.git.advance import finish_interrupted_before
from task_queue.git.guarding import guarded
from task_queue.git.landed_work import work_to_undo
from task_queue.git.program import Git
from task_queue.git.repository import root_of
from task_queue.git.undoing import foreseen
from task_queue.ports.executor import Order
from task_queue.ports.undoing import UndoAnswer, UndoRequest
from task_queue.store.folder.amending import read_result
from task_queue.store.folder.layout import Layout

_MODULE = "task_queue.runner.undoing"


@dataclass(frozen=True, slots=True)
class UndoView:
    """What undoing the task would do now."""

    task_id: TaskId
    source: str
    way: UndoWay | None
    """None: nothing, see ``said``."""
    is_undone: bool
    """It is undone already."""
    said: str
    checks: tuple[str, ...]
    """Commands that have to pass without the work before anything moves."""


@dataclass(frozen=True, slots=True)
class UndoneTask:
    """Whether the task's work is taken back."""

    task_id: TaskId
    source: str
    is_undone: bool
    said: str


@dataclass(frozen=True, slots=True)
class _TaskToUndo:
    task_id: TaskId
    source: str
    layout: Layout
    result: Result
    order: Order


def what_undo_does(installation: Installation, task_id: TaskId) -> UndoView:
    """Moves nothing but what an undo that was killed left half done, and runs no check. Raises as ``undo``."""
    ended = _ended(installation, task_id)
    if isinstance(ended, UndoneTask):
        return UndoView(task_id, ended.source, None, is_undone=True, said=ended.said, checks=())
    order = ended.order
    git = guarded(Git(order.workspace, order.env_of_checks), order.git.trusted)
    root = root_of(git)
    if root is None:
        raise GitError(f"{order.workspace} is not in a git repository any more")
    finish_interrupted_before(git.at(root), marker=order.marker)  # its lock files would be in the way
    decided = foreseen(git.at(root), work_to_undo(task_id, ended.result.product))
    match decided:
        case CannotUndo(why=why):
            return UndoView(task_id, ended.source, None, is_undone=False, said=why, checks=())
        case Undone(said=said):
            return UndoView(task_id, ended.source, None, is_undone=True, said=said, checks=())
        case _:
            checks = tuple(order.settings.verify)
            return UndoView(
                task_id, ended.source, decided.way, is_undone=False, said=decided.said, checks=checks
            )


def undo(installation: Installation, task_id: TaskId) -> UndoneTask:
    """Move the target back to before the work, where nothing came after that and nothing else has it; else revert it.

    Only once the task's checks pass on what the target would become. What was undone before is left as it is.
    Takes as long as the task's checks. Raises UnknownTaskError, ActionUnavailableError where there is nothing that
    could be taken back, GitError, ConfigError, OSError.
    """
    ended = _ended(installation, task_id)
    if isinstance(ended, UndoneTask):
        return ended
    answer = EndedTaskProcess(_MODULE, UndoRequest(ended.order, ended.result.product), UndoAnswer).answer()
    if answer.why_not is not None:
        return UndoneTask(task_id, ended.source, is_undone=False, said=answer.why_not)
    after = after_undoing(ended.layout, ended.result, answer.product)
    said = str(after.product.landed)
    undone = TaskUndone(ended.source, task_id, said)
    record_action(installation, "tasks undo", undone, source=ended.source, task_id=task_id)
    return UndoneTask(task_id, ended.source, is_undone(after), said)


def _ended(installation: Installation, task_id: TaskId) -> _TaskToUndo | UndoneTask:
    installation.demand_trust()
    config = installation.config
    listed, state = found(installation.sources(), task_id)
    result = read_result(listed.folders, task_id)
    if result is None or state is not TaskState.COMPLETED or not result.product.commits:
        raise ActionUnavailableError(
            f"task {task_id} is {state}, and has landed nothing that could be undone",
            action=Action.UNDO,
            state=state,
            hint="it made no commit"
            if state is TaskState.COMPLETED
            else "only what completed tasks committed can be undone",
        )
    if is_undone(result):
        return UndoneTask(task_id, listed.id, is_undone=True, said=str(result.product.landed))
    source = config.source(listed.id)
    assert source is not None
    order = order_to_land(InForce(installation.locations, config, os.environ), source, result)
    return _TaskToUndo(task_id, listed.id, listed.folders, result, order)
