"""``history``: what ended, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from task_queue.app.history import EndedView, HistoryView
from task_queue.app.history import history as history_of
from task_queue.app.installation import Installation
from task_queue.app.spelling import moment, money, span
from task_queue.cli import render, screen
from task_queue.cli.render import Part, line, table_rows
from task_queue.cli.screen import Listing
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation, past_moment_in, source_option
from task_queue.domain.past_time import FORM

_LIMIT = 20


@click.command()
@click.argument("text", required=False)
@click.option("--since", metavar="WHEN", help=f"Only what ended since: {FORM}.")
@source_option
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    metavar="OUTCOME",
    help="Only this outcome, completed or failed (repeatable).",
)
@click.option("--limit", type=click.IntRange(min=1), show_default=str(_LIMIT))
@server_options
@as_json_option
@pass_installation
def history(
    installation: Installation,
    *,
    text: str | None,
    since: str | None,
    source_id: str | None,
    outcomes: tuple[str, ...],
    limit: int | None,
    server: QueueServer | None,
    as_json: bool,
) -> None:
    """What ended and how, the newest first; only what has TEXT in its id or cause, if given."""
    begin, most = past_moment_in(installation, since), limit or _LIMIT
    if server is not None:
        view = history_from(server, most, since=begin, source=source_id, outcome=outcomes, text=text)
    else:
        view = history_of(
            installation, since=begin, source_id=source_id, outcomes=outcomes, text=text, limit=most
        )
    if as_json:
        render.say_json(view)
    else:
        screen.show(_shown(view), whole=limit is not None, command="task-queue history")


def history_from(server: QueueServer, most: int, **wanted: Any) -> HistoryView:
    """*most* ends of a server, which looks at a part of the past for each answer."""
    from task_queue.client import view_operations

    view = server.ask(view_operations.history(**wanted, limit=most))
    while view.searched_to is not None:
        limit = most - len(view.tasks)
        older = server.ask(view_operations.history(**wanted, limit=limit, before=view.before))
        view = replace(older, tasks=(*view.tasks, *older.tasks))
    return view


def _shown(view: HistoryView) -> Iterator[Listing]:
    if view.tasks:
        yield Listing(table_rows([_row(task) for task in view.tasks], lead=2), 1)
    else:
        yield Listing([line("Nothing ended, as far as the event log says.")], 1)
    if view.more:
        yield Listing([line("There are more: see --limit.")], 0)


def _row(task: EndedView) -> tuple[Part, ...]:
    figures = [str(task.ending)]
    if task.cost_usd is not None:
        figures.append(money(task.cost_usd))
    if task.took_s is not None:
        figures.append(span(task.took_s))
    return moment(task.at), task.task_id, ", ".join(figures)
