"""A task that is named here and came in at another host of the fleet: what is known of it, and where to change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from task_queue.app.answers import SCHEMA_VERSION, ListedSource
from task_queue.app.finding import state_of, task_named
from task_queue.app.fleet_sight import fleet_sight, how_old, standing
from task_queue.domain.errors import AmbiguousTaskError, UnknownTaskError
from task_queue.domain.fleet_sight import FleetSight, TaskOfFleet
from task_queue.domain.task import TaskId, TaskState

if TYPE_CHECKING:
    from task_queue.app.installation import Installation

_NAMED = 5


class TaskElsewhereError(UnknownTaskError):
    """The task came in at another host: it is not in any folder of this one."""

    def __init__(self, task: TaskOfFleet, sight: FleetSight) -> None:
        age = "".join(f" ({clause})" for clause in how_old(sight))
        super().__init__(
            f"task {task.task_id} is not of this host: it {standing(task, here=sight.host)}{age}",
            hint="the machine that imported it gets it back with: task-queue fleet export"
            if task.came_in_at is None
            else f"give that command on host {task.came_in_at}",
        )
        self.task, self.sight = task, sight


@dataclass(eq=False, repr=False, slots=True)
class TaskElsewhereView:
    """What ``tasks show`` knows of it. Its document, log and result are at the host that it came in at."""

    task_id: TaskId
    source: str
    state: TaskState
    title: str
    elsewhere: TaskOfFleet
    here: str
    """This host."""
    as_of: datetime | None
    is_current: bool
    """As ``FleetSight`` has both."""
    schema_version: int = SCHEMA_VERSION


def task_here(installation: Installation, text: str, sources: Sequence[ListedSource] | None = None) -> TaskId:
    """As ``finding.task_named``, but the id of a task elsewhere is never taken for a part of one here.

    *sources*: all of them, where they are at hand. Raises TaskElsewhereError, too.
    """
    sources = installation.sources() if sources is None else sources
    typed = TaskId(text.rpartition("/")[2].removesuffix(".md"))
    if state_of(sources, typed) is not None:
        return typed
    sight = fleet_sight(installation)
    if sight is None:
        return task_named(text, sources)
    elsewhere = sight.named(typed)
    if elsewhere and elsewhere[0].task_id == typed:
        raise TaskElsewhereError(elsewhere[0], sight)
    try:
        return task_named(text, sources)
    except UnknownTaskError:
        if not elsewhere:
            raise
    if len(elsewhere) == 1:
        raise TaskElsewhereError(elsewhere[0], sight)
    raise AmbiguousTaskError(
        f"'{typed}' is part of the ids of {len(elsewhere)} tasks of other hosts",
        hint=f"name one of them: {', '.join(task.task_id for task in elsewhere[:_NAMED])}",
    )


def demand_not_elsewhere(installation: Installation, task_id: TaskId) -> None:
    """Raises TaskElsewhereError where it came in at another host."""
    sight = fleet_sight(installation)
    for task in () if sight is None else sight.named(task_id):
        if sight is not None and task.task_id == task_id:
            raise TaskElsewhereError(task, sight)


def view_of(error: TaskElsewhereError) -> TaskElsewhereView:
    task, sight = error.task, error.sight
    return TaskElsewhereView(
        task.task_id, task.source, task.state, task.title, task, sight.host, sight.as_of, sight.is_current
    )
