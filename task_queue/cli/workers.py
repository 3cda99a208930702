"""``workers``: each source has one; what it does."""

from __future__ import annotations

import click

from task_queue.app import status as app_status
from task_queue.app.answers import StatusView
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.render import Part, table, word
from task_queue.cli.session import as_json_option, pass_installation

_SCHEMA_VERSION = 1
_HEAD = ("SOURCE", "STATE", "THREAD", "TASK")


@click.group()
def workers() -> None:
    """What each worker does."""


@workers.command("list")
@as_json_option
@pass_installation
def list_workers(installation: Installation, *, as_json: bool) -> None:
    """One line per worker: source, state, thread, task."""
    _show(installation, as_json=as_json)


@workers.command()
@as_json_option
@pass_installation
@click.pass_context
def status(context: click.Context, installation: Installation, *, as_json: bool) -> None:
    """The same, and exit code 3 if the daemon is down or a worker has stopped."""
    view = _show(installation, as_json=as_json)
    healthy = view.daemon.running and all(source.state in {"serving", "paused"} for source in view.sources)
    context.exit(0 if healthy else NEEDS_ATTENTION)


def _show(installation: Installation, *, as_json: bool) -> StatusView:
    view = app_status.status(installation, now=installation.now(), waiting_shown=0)
    if as_json:
        listed = [
            {
                "source": source.id,
                "state": source.state,
                "why": source.why,
                "thread_id": source.thread_id,
                "task_id": source.task_id or next((task.task_id for task in source.running), None),
            }
            for source in view.sources
        ]
        answer = {"daemon": view.daemon.running, "workers": listed, "schema_version": _SCHEMA_VERSION}
        render.say_json(answer)
        return view
    if not view.daemon.running:
        render.note("the daemon does not run, so there are no workers")
    rows: list[tuple[Part, ...]] = []
    for source in view.sources:
        running = ", ".join(task.task_id for task in source.running)
        task = source.task_id or running or "-"
        rows.append((source.id, word(source.state), str(source.thread_id or "-"), task))
    render.show(table(rows, head=_HEAD, lead=len(_HEAD)))
    return view
