"""``report``: what a person wants to know in the morning, in the order in which it matters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from task_queue.app.answers import SCHEMA_VERSION, AttentionView, RunningView, SourceView
from task_queue.app.attention import attention_of
from task_queue.app.files import text_in
from task_queue.app.fleet_sight import fleet_sight
from task_queue.app.history import EndedView, history
from task_queue.app.installation import Installation
from task_queue.app.overview import source_view
from task_queue.app.spent import spent_since
from task_queue.domain.attention import urgency
from task_queue.domain.fleet_sight import FleetSight
from task_queue.domain.task import TaskState
from task_queue.store.event_history import newest_first

_ABOUT_LIMITS = ("limited", "account_paused", "account_resumed")
_MOST = 1000
"""Of ends, and of what limits did."""
_NAMED = 100


@dataclass(frozen=True, slots=True)
class LimitView:
    at: datetime
    said: str


@dataclass(frozen=True, slots=True)
class SpentView:
    usd: float
    estimated_usd: float
    """How much of it is an estimate."""
    by_source: Mapping[str, float]
    by_model: Mapping[str, float]
    """Of the tasks that ended since, as far as their results say."""


@dataclass(frozen=True, slots=True)
class ReportView:
    since: datetime
    until: datetime
    attention: tuple[AttentionView, ...]
    """What needs a person now, whenever it came; the most urgent first."""
    done: tuple[EndedView, ...]
    """What succeeded since, the newest first, and has a result that says so."""
    failed: tuple[EndedView, ...]
    unclear: tuple[EndedView, ...]
    """What ended since, while its result cannot say how."""
    running: tuple[RunningView, ...]
    waiting: int
    spent: SpentView
    limits: tuple[LimitView, ...]
    """What usage limits and other pauses of the account did since, the oldest first."""
    more: bool
    """So many tasks ended that the oldest are left out."""
    fleet: FleetSight | None = None
    """What came in at other hosts and runs, or ended since and in the last 24 hours; null outside of a fleet."""
    schema_version: int = SCHEMA_VERSION


def report(installation: Installation, *, since: datetime) -> ReportView:
    """Raises ConfigError, OSError."""
    circumstances = installation.circumstances()
    views = {
        listed.id: source_view(circumstances, listed, waiting_shown=0) for listed in circumstances.sources
    }
    attention = attention_of(circumstances, views, problems=installation.problems, named=_NAMED)
    ended = history(installation, since=since, limit=_MOST)
    spent, estimated = spent_since(since, installation.locations.ledger)
    return ReportView(
        since=since,
        until=circumstances.now,
        attention=tuple(sorted(attention, key=lambda each: urgency(each.kind))),
        done=tuple(task for task in ended.tasks if task.state == TaskState.COMPLETED and not task.problem),
        failed=tuple(task for task in ended.tasks if task.state == TaskState.FAILED and not task.problem),
        unclear=tuple(task for task in ended.tasks if task.problem),
        running=tuple(_running(views.values())),
        waiting=sum(view.pending.number for view in views.values()),
        spent=SpentView(sum(spent.values()), estimated, _largest_first(spent), _by_model(ended.tasks)),
        limits=tuple(reversed(list(_limits(installation, since)))),
        more=ended.more,
        fleet=_of_fleet(installation, since, ended.tasks),
    )


def _of_fleet(
    installation: Installation, since: datetime, ended_here: Iterable[EndedView]
) -> FleetSight | None:
    sight = fleet_sight(installation)
    if sight is None:
        return None
    known = {task.task_id for task in ended_here}  # those that this host carried out
    others = tuple(
        task
        for task in sight.tasks
        if not (task.state.ended and task.host == sight.host and task.task_id in known)
    )
    shown = frozenset(TaskState) - {TaskState.PENDING}
    return replace(sight, tasks=others).limited(len(others), states=shown, ended_since=since)


def _running(views: Iterable[SourceView]) -> Iterator[RunningView]:
    for view in views:
        yield from view.running


def _by_model(tasks: Iterable[EndedView]) -> Mapping[str, float]:
    costs: dict[str, float] = {}
    for task in tasks:
        for model, usd in task.models.items():
            costs[model] = costs.get(model, 0.0) + usd
    return _largest_first(costs)


def _largest_first(costs: Mapping[str, float]) -> Mapping[str, float]:
    return dict(sorted(costs.items(), key=lambda cost: -cost[1]))


def _limits(installation: Installation, since: datetime) -> Iterator[LimitView]:
    """The newest first."""
    for number, event in enumerate(newest_first(installation.locations.events, _ABOUT_LIMITS)):
        if event.at < since or number == _MOST:
            return
        about, data = event.record, event.record.data
        why = text_in(data, "why") or text_in(data, "reason") or ""
        match about.type:
            case "limited":
                yield LimitView(event.at, f"{about.task_id} met a usage limit: {why}")
            case "account_paused":
                yield LimitView(event.at, f"the account was paused: {why}")
            case _:
                yield LimitView(event.at, f"the account went on: {why}")
