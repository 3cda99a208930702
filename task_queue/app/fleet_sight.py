"""What the rest of the fleet holds that this machine is a host of, from the file that its daemon keeps.

It needs neither the database nor psycopg, and says how old it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from task_queue.app.files import number_in, record, records_in, text_in, texts_in, time_in, whole_in
from task_queue.app.spelling import moment, money
from task_queue.domain.fleet_sight import (
    CURRENT_FOR,
    LEASE,
    SHOWN_FOR,
    SIGHT,
    FleetSight,
    HostOfFleet,
    TaskOfFleet,
)
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.json_files import Record

if TYPE_CHECKING:
    from task_queue.app.installation import Installation

_KEY = "fleet"
_STATES = {state.value: state for state in TaskState}


def fleet_sight(installation: Installation) -> FleetSight | None:
    """None where this machine has joined no fleet."""
    host = installation.section(_KEY).get("host")
    if not isinstance(host, str):
        return None
    folder, now = installation.locations.state_dir / _KEY, installation.now()
    content = record(folder / SIGHT)
    if not isinstance(content, dict) or content.get("host") != host:
        return FleetSight(host)
    try:
        as_of = datetime.fromtimestamp((folder / LEASE).stat().st_mtime, now.tzinfo)
    except OSError:
        return FleetSight(host)
    tasks = (_task_in(each) for each in records_in(content, "tasks"))
    return FleetSight(
        host,
        as_of,
        now - as_of < CURRENT_FOR,
        tuple(_host_in(each) for each in records_in(content, "hosts")),
        tuple(task for task in tasks if task is not None and _is_shown(task, now)),
        whole_in(content, "more") or 0,
    )


def fleet_listed(
    installation: Installation,
    source_id: str | None,
    states: Iterable[TaskState],
    *,
    limit: int,
    types: Collection[str] = (),
    dead: bool = False,
) -> FleetSight | None:
    """The same as ``tasks list`` has it; without tasks where *types* are asked for, which it does not know."""
    sight = fleet_sight(installation)
    if sight is None:
        return None
    return sight.limited(0 if types else limit, source=source_id, states=frozenset(states), dead=dead)


def _is_shown(task: TaskOfFleet, now: datetime) -> bool:
    return not task.state.ended or now - task.since < SHOWN_FOR


def _task_in(content: Record) -> TaskOfFleet | None:
    """None where a later release wrote it otherwise."""
    state, since = _STATES.get(text_in(content, "state") or ""), time_in(content, "since")
    task_id = text_in(content, "task_id")
    if state is None or since is None or task_id is None:
        return None
    return TaskOfFleet(
        TaskId(task_id),
        text_in(content, "source") or "",
        state,
        text_in(content, "title") or "",
        since,
        text_in(content, "came_in_at"),
        text_in(content, "host"),
        whole_in(content, "attempt"),
        content.get("cancelling") is True,
        text_in(content, "outcome"),
        text_in(content, "error") or "",
        number_in(content, "cost_usd"),
        content.get("dead_letter") is True,
    )


def _host_in(content: Record) -> HostOfFleet:
    return HostOfFleet(
        text_in(content, "name") or "",
        text_in(content, "state") or "",
        whole_in(content, "running") or 0,
        tuple(texts_in(content, "capabilities")),
        time_in(content, "heard_at"),
    )


def standing(task: TaskOfFleet, *, here: str) -> str:
    """Where it came in, where it is carried out and how it stands, in one line; *here*: this host."""
    came_in = "was imported" if task.came_in_at is None else f"came in at {task.came_in_at}"
    where = "" if task.host is None else "here" if task.host == here else f"on {task.host}"
    match task.state:
        case TaskState.PENDING:
            return f"{came_in} at {moment(task.since)}, waits" + (
                ", to be cancelled" if task.cancelling else ""
            )
        case TaskState.RUNNING:
            attempt = f", attempt {task.attempt}" if task.attempt not in {None, 1} else ""
            cancelling = ", being cancelled" if task.cancelling else ""
            return f"{came_in}, runs {where} since {moment(task.since)}{attempt}{cancelling}"
        case _:
            outcome = f"{task.outcome or task.state} {where}".rstrip()
            cost = "" if task.cost_usd is None else f", {money(task.cost_usd)}"
            error = f": {task.error}" if task.error else ""
            return f"{came_in}, {outcome} at {moment(task.since)}{cost}{error}"


def described(task: TaskOfFleet, *, here: str) -> str:
    """The same with its title and its source."""
    return "; ".join(part for part in (task.title, task.source, standing(task, here=here)) if part)


def hosts_line(sight: FleetSight, *, most: int) -> str:
    """This host, the others and how old that is, in one line; of the others at most so many are named."""
    others = sorted(
        (host for host in sight.hosts if host.name != sight.host), key=lambda each: each.state == "up"
    )
    named = [_one_host(host) for host in others[:most]]
    if len(others) > most:
        named.append(f"and {len(others) - most:,} more hosts")
    own = next((host for host in sight.hosts if host.name == sight.host), None)
    drains = f", {own.state}" if own is not None and own.state in {"draining", "drained"} else ""
    return "; ".join((f"host {sight.host}{drains}", *named, *how_old(sight)))


def how_old(sight: FleetSight) -> tuple[str, ...]:
    """A clause where it may have changed since."""
    if sight.as_of is None:
        return ("the database of the fleet has not been reached yet",)
    if sight.is_current:
        return ()
    return (f"as of {moment(sight.as_of)}: the database of the fleet has not been reached since",)


def _one_host(host: HostOfFleet) -> str:
    silent = f" since {moment(host.heard_at)}" if host.heard_at is not None else ""
    runs = f", runs {host.running}" if host.running else ""
    return f"{host.name} {host.state}{silent}{runs}"
