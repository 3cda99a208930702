"""Whether the queue can take tasks, for who watches it from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from task_queue import __version__
from task_queue.app.installation import Installation
from task_queue.app.overview import source_view
from task_queue.app.tracked_task import TaskFilter, TaskStatus
from task_queue.app.tracking import KeptDocuments, tracked_tasks
from task_queue.domain.errors import ConfigError
from task_queue.domain.policy import AccessRole, Caller
from task_queue.domain.task import TaskId


@dataclass(eq=False, repr=False, slots=True)
class HealthDetails:
    """For callers with the role `read`; counts are over the sources that they see."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    daemon_running: bool
    """Without it nothing starts."""
    daemon_version: str | None
    """Null while it does not run."""
    queued: int
    """How many tasks wait."""
    running: int
    """How many tasks run."""
    running_ids: tuple[TaskId, ...]
    """Of those that the caller sees."""
    account_paused_until: datetime | None
    """Null while agents may start."""
    account_why: str | None
    """Why the account is paused."""
    spent_today_usd: float
    """By all tasks."""
    stopped: bool
    """A person stopped everything."""
    engine: str = "folder"
    """What keeps the tasks."""


@dataclass(eq=False, repr=False, slots=True)
class HealthView:
    """`status` is `ok`, `no_daemon` (tasks are accepted and wait) or `unavailable`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    status: str
    """As above."""
    version: str = __version__
    """Of task-queue."""
    details: HealthDetails | None = None
    """Null without the role `read`."""

    @property
    def is_ready(self) -> bool:
        return self.status != "unavailable"


def health(installation: Installation, caller: Caller | None, kept: KeptDocuments) -> HealthView:
    """*caller*: who asks, None if that is not known. Never raises because of the configuration."""
    try:
        installation.demand_trust()
        circumstances = installation.circumstances()
    except ConfigError:
        return HealthView("unavailable")
    daemon, account = circumstances.daemon, circumstances.account
    view = HealthView("ok" if daemon.running else "no_daemon")
    if caller is not None and caller.policy.has(AccessRole.READ):
        sources = [
            source_view(circumstances, listed, waiting_shown=0)
            for listed in circumstances.sources
            if caller.policy.allows_source(listed.id)
        ]
        running = tuple(task.task_id for source in sources for task in source.running)
        view.details = HealthDetails(
            daemon.running,
            daemon.version,
            sum(source.pending.number for source in sources),
            len(running),
            running if caller.policy.is_unlimited else _seen(installation, caller, kept),
            account.paused_until,
            account.why,
            account.spent_today_usd,
            account.stopped,
        )
    return view


def _seen(installation: Installation, caller: Caller, kept: KeptDocuments) -> tuple[TaskId, ...]:
    running = TaskFilter(statuses=(TaskStatus.RUNNING,))
    return tuple(task.id for task in tracked_tasks(installation, running, caller, kept))
