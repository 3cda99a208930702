"""``tasks list`` and ``wait``: what happens to tasks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import click

from task_queue.app.answers import ListView, TaskLine, needs_attention
from task_queue.app.event_feed import from_now_on
from task_queue.app.finding import task_named
from task_queue.app.installation import Installation
from task_queue.app.listing import list_of
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.live import await_end, view_of
from task_queue.cli.render import Part, Renderable, line, strong, table, word
from task_queue.cli.session import (
    as_json_option,
    pass_installation,
    source_option,
)
from task_queue.cli.spelling import moment, money
from task_queue.cli.status import attention_notice
from task_queue.domain.task import TaskState

_SCHEMA_VERSION = 1
_TITLE = 60
_STATES = [state.value for state in TaskState]


@click.command("list")
@source_option
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these (repeatable).")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Per source and state."
)
@as_json_option
@pass_installation
def list_tasks(
    installation: Installation, *, source_id: str | None, states: tuple[str, ...], limit: int, as_json: bool
) -> int:
    """What runs, what waits and why, and what ended last. Exit code 3 if something needs attention, as in status."""
    wanted = [TaskState(state) for state in states or _STATES]
    view = list_of(
        installation.circumstances(),
        installation.sources(source_id),
        states=wanted,
        limit=limit,
        problems=installation.problems,
    )
    if as_json:
        render.say_json(view)
    else:
        render.show(*_listed(view))
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
        [task_named(text, sources) for text in task],
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


def _listed(view: ListView) -> Iterator[Renderable]:
    yield from attention_notice(view.attention)
    for (source, state), tasks in groupby(view.tasks, key=lambda task: (task.source, task.state)):
        yield line(strong(source), ", ", word(state.value))
        yield table([_row(task) for task in tasks], indent=2)
    if not view.tasks:
        yield line("No tasks.")
    if view.more:
        yield line("There are more: see --limit.")


def _row(task: TaskLine) -> tuple[Part, ...]:
    title = task.title if len(task.title) <= _TITLE else task.title[: _TITLE - 1] + "…"
    cost = f", {money(task.cost_usd)}" if task.cost_usd is not None else ""
    at = f", {moment(task.at)}" if task.at else ""
    return task.task_id, title, task.note + cost + at
