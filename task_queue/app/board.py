"""The state of all sources as one caller sees it, for a page that stays open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from task_queue.app.answers import AccountView, AttentionView, DaemonView, SourceView, StatusView
from task_queue.app.installation import Installation
from task_queue.app.status import status
from task_queue.app.tracked_task import TaskFilter, TaskStatus
from task_queue.app.tracking import KeptDocuments, tracked_tasks
from task_queue.domain.fleet_sight import FleetSight
from task_queue.domain.policy import Caller

_WAITING_SHOWN = 5
_OF_FLEET = 10
"""Tasks of each state."""
_FEW = 8
"""So many sources have a place each that stays, so that nothing moves when one begins and ends its work."""
_NOT_ENDED = (TaskStatus.QUEUED.value, TaskStatus.RUNNING.value)


@dataclass(eq=False, repr=False, slots=True)
class Board:
    """``busy`` sources have something that runs, waits or needs a look, or are few; the others are ``quiet``."""

    now: datetime
    daemon: DaemonView
    account: AccountView
    attention: tuple[AttentionView, ...]
    busy: tuple[SourceView, ...]
    quiet: tuple[SourceView, ...]
    is_whole: bool
    """Everything there is: also what the account spends."""
    fleet: FleetSight | None
    """What came in at other hosts, for who sees everything."""


def board(installation: Installation, caller: Caller, kept: KeptDocuments) -> Board:
    """What *caller* may see of what ``status`` says. Raises ConfigError."""
    now = installation.now()
    view = status(installation, now=now, waiting_shown=_WAITING_SHOWN, with_outlook=True)
    if not caller.policy.is_unlimited:
        _limit(view, installation, caller, kept)
    few = len(view.sources) <= _FEW
    busy = tuple(source for source in view.sources if few or _is_busy(source))
    quiet = tuple(source for source in view.sources if not (few or _is_busy(source)))
    is_whole = caller.policy.is_unlimited
    fleet = view.fleet.limited(_OF_FLEET) if view.fleet is not None and is_whole else None
    return Board(now, view.daemon, view.account, view.attention, busy, quiet, is_whole, fleet)


def _is_busy(source: SourceView) -> bool:
    return bool(source.running or source.waiting or source.ignored or source.pending.number)


def _limit(view: StatusView, installation: Installation, caller: Caller, kept: KeptDocuments) -> None:
    """Take out of *view* what *caller* does not see."""
    seen = {task.id for task in tracked_tasks(installation, TaskFilter(_NOT_ENDED), caller, kept)}
    needs = tracked_tasks(installation, TaskFilter(attention=True), caller, kept)
    view.sources = tuple(source for source in view.sources if caller.policy.allows_source(source.id))
    for source in view.sources:
        source.running = tuple(task for task in source.running if task.task_id in seen)
        source.waiting = tuple(task for task in source.waiting if task.task_id in seen)
        source.ignored = ()
    view.attention = tuple(
        AttentionView(need.kind, need.sentence, need.command, task.id, task.source)
        for task in needs
        for need in task.attention
    )
    view.daemon.warnings = ()
