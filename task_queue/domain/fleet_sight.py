"""What the rest of a fleet holds, as one of its hosts shows it: tasks that came in at other hosts, and the hosts.

The records are those of ``--json`` and of the file in which a host keeps them for its commands, its API and its page.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from task_queue.domain.task import ENDED, TaskId, TaskState

SIGHT, LEASE = "sight.json", "lease"
"""Files in the folder of a host: what is here as JSON, and what the host renews each time it has looked."""
SHOWN_FOR = timedelta(hours=24)
"""For so long a task that has ended is among them."""
CURRENT_FOR = timedelta(seconds=10)
"""A host looks once a second: what it has not compared for longer may have changed."""


@dataclass(eq=False, repr=False, slots=True)
class TaskOfFleet:
    """A task that came in at another host."""

    task_id: TaskId
    source: str
    """As ``fleet status`` names it: ``SOURCE@HOST`` where only that host works on it."""
    state: TaskState
    title: str
    since: datetime
    """When it came in, its attempt began, or it ended, by its state."""
    came_in_at: str | None = None
    """The host that it was dropped on; null of one that was imported."""
    host: str | None = None
    """That carries it out, or has carried it out; null of one that waits."""
    attempt: int | None = None
    """Of one that runs."""
    cancelling: bool = False
    outcome: str | None = None
    """Of one that has ended, as are those that follow."""
    error: str = ""
    cost_usd: float | None = None
    dead_letter: bool = False
    """It failed, and its attempts are used up."""


@dataclass(eq=False, repr=False, slots=True)
class HostOfFleet:
    name: str
    state: str
    """``new``, ``up``, ``silent``, ``draining`` or ``drained``."""
    running: int = 0
    """Tasks, wherever they came in."""
    capabilities: tuple[str, ...] = ()
    heard_at: datetime | None = None
    """Of one that is silent: when the database heard of it last."""


@dataclass(eq=False, repr=False, slots=True)
class FleetSight:
    """The fleet of which this host is *host*, without what came in here."""

    host: str
    as_of: datetime | None = None
    """When it was last known to be so; null: the daemon has not reached the database of the fleet yet."""
    is_current: bool = False
    """It was so a moment ago. Else the daemon does not run, or does not reach the database."""
    hosts: tuple[HostOfFleet, ...] = ()
    tasks: tuple[TaskOfFleet, ...] = ()
    """Running ones, then waiting ones in the order in which they came in, then those that ended in the last 24 hours,
    the newest first: at most 200, 200 and 100."""
    more: int = 0
    """How many more run, wait or have ended; counting stops at 10,000 of each."""

    def limited(
        self,
        most: int,
        *,
        source: str | None = None,
        states: frozenset[TaskState] = frozenset(TaskState),
        dead: bool = False,
        ended_since: datetime | None = None,
    ) -> FleetSight:
        """The same with the tasks of that *source* and these *states* only, and of each state at most so many.

        *dead*: only those whose attempts are used up; *ended_since*: none that ended before.
        """
        chosen = [
            task
            for task in self.tasks
            if task.state in states
            and source in {None, task.source}
            and (task.dead_letter or not dead)
            and not (task.state.ended and ended_since is not None and task.since < ended_since)
        ]
        kept: list[TaskOfFleet] = []
        for state in (TaskState.RUNNING, TaskState.PENDING, *ENDED):
            kept += [task for task in chosen if task.state is state][:most]
        return replace(self, tasks=tuple(kept), more=self.more + len(chosen) - len(kept))

    def named(self, text: str) -> tuple[TaskOfFleet, ...]:
        """The task with that id, else those whose ids have *text* in them."""
        for task in self.tasks:
            if task.task_id == text:
                return (task,)
        return tuple(task for task in self.tasks if text and text in task.task_id)
