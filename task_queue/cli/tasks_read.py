"""``tasks list`` and ``wait``: what happens to tasks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import click

from task_queue.app.answers import ListView, TaskLine, needs_attention
from task_queue.app.event_feed import from_now_on
from task_queue.app.fleet_sight import fleet_listed
from task_queue.app.installation import Installation
from task_queue.app.listing import list_of
from task_queue.app.spelling import moment, money
from task_queue.app.task_elsewhere import task_here
from task_queue.cli import render, screen
from task_queue.cli.completing import task_argument
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.fleet_sight import fleet_listings
from task_queue.cli.live import await_end, view_of
from task_queue.cli.render import Part, line, strong, table_rows, word
from task_queue.cli.screen import Listing
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import (
    as_json_option,
    pass_installation,
    source_option,
)
from task_queue.cli.status import attention_notice
from task_queue.domain.document.choices import WorkType
from task_queue.domain.task import TaskState

_SCHEMA_VERSION = 1
_TITLE = 60
_LIMIT = 20
_IMPORTANT = (TaskState.RUNNING, TaskState.FAILED, TaskState.PENDING, TaskState.COMPLETED)
_STATES = [state.value for state in TaskState]
_TYPES = [kind.value for kind in WorkType]


@click.command("list")
@source_option
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these (repeatable).")
@click.option("--limit", type=click.IntRange(min=1), show_default=str(_LIMIT), help="Per source and state.")
@click.option(
    "--type", "types", multiple=True, type=click.Choice(_TYPES), help="Only this work (repeatable)."
)
@click.option("--dead", is_flag=True, help="Only tasks that failed and whose attempts are used up.")
@server_options
@as_json_option
@pass_installation
def list_tasks(
    installation: Installation,
    *,
    source_id: str | None,
    states: tuple[str, ...],
    types: tuple[str, ...],
    dead: bool,
    limit: int | None,
    server: QueueServer | None,
    as_json: bool,
) -> int:
    """What runs, what waits and why, and what ended last. Exit code 3 if something needs attention, as in status."""
    wanted = [TaskState(state) for state in states or _STATES]
    most = limit or _LIMIT
    if server is not None:
        from task_queue.client import view_operations

        view = server.ask(
            view_operations.listing(source=source_id, state=wanted, type=types, dead=dead, limit=most)
        )
    else:
        view = list_of(
            installation.circumstances(),
            installation.sources(source_id),
            states=wanted,
            limit=most,
            problems=installation.problems,
            types=types,
            dead=dead,
            fleet=fleet_listed(installation, source_id, wanted, limit=most, types=types, dead=dead),
        )
    if as_json:
        render.say_json(view)
    else:
        screen.show(_listed(view), whole=limit is not None, command="task-queue tasks list")
    return NEEDS_ATTENTION if needs_attention(view.attention) else 0


@click.command()
@task_argument(nargs=-1, required=True)
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds; then exit with 1.")
@as_json_option
@pass_installation
def wait(installation: Installation, *, task: tuple[str, ...], timeout: float | None, as_json: bool) -> int:
    """Wait until each TASK has ended; exit code 1 if one did not succeed. What happens meanwhile goes to stderr."""
    since = from_now_on(installation, warn=render.note)
    sources = installation.sources()
    awaited = await_end(
        installation,
        [task_here(installation, text, sources) for text in task],
        since=since,
        timeout_s=timeout,
        as_json=as_json,
    )
    if as_json:
        render.say_json(
            {
                "tasks": [view_of(end) for end in awaited.ends],
                "not_ended": awaited.left,
                "schema_version": _SCHEMA_VERSION,
            }
        )
    return awaited.code


def _listed(view: ListView) -> Iterator[Listing]:
    yield from attention_notice(view.attention)
    for (source, state), tasks in groupby(view.tasks, key=lambda task: (task.source, task.state)):
        head = line(strong(source), ", ", word(state.value))
        rows = table_rows([_row(task) for task in tasks], indent=2)
        yield Listing(rows, 1 + _IMPORTANT.index(state), head=[head], indent=2)
    if view.fleet is not None:
        yield from fleet_listings(
            view.fleet, running=1, rest=1 + len(_IMPORTANT), more="and {} more: see --limit and fleet status"
        )
    if not (view.tasks or (view.fleet and view.fleet.tasks)):
        yield Listing([line("No tasks.")], 0)
    if view.more:
        yield Listing([line("There are more: see --limit.")], 0)


def _row(task: TaskLine) -> tuple[Part, ...]:
    title = task.title if len(task.title) <= _TITLE else task.title[: _TITLE - 1] + "…"
    cost = f", {money(task.cost_usd)}" if task.cost_usd is not None else ""
    at = f", {moment(task.at)}" if task.at else ""
    return task.task_id, title, task.note + cost + at
