"""``workers``: each source has one; what it does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from task_queue.app import status as app_status
from task_queue.app.answers import DaemonView, SourceView, StatusView
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.render import Part, Renderable, item, line, strong, table, word
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.cli.spelling import moment
from task_queue.cli.status import doing

_SCHEMA_VERSION = 1
_FIELD = 7
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
    """All of each worker: since when, what it runs, what it waits for, its trouble.

    Exit code 3 if the daemon is down or a worker has stopped.
    """
    now = installation.now()
    view = app_status.status(installation, now=now, waiting_shown=1)
    if as_json:
        workers = [{**_line_of(source), **_more_of(source, view.daemon)} for source in view.sources]
        render.say_json(
            {"daemon": view.daemon.running, "workers": workers, "schema_version": _SCHEMA_VERSION}
        )
    else:
        _note_daemon(view)
        render.show(*_screen(view, now))
    healthy = view.daemon.running and all(source.state in {"serving", "paused"} for source in view.sources)
    context.exit(0 if healthy else NEEDS_ATTENTION)


def _line_of(source: SourceView) -> dict[str, Any]:
    return {
        "source": source.id,
        "state": source.state,
        "why": source.why,
        "thread_id": source.thread_id,
        "task_id": source.task_id or next((task.task_id for task in source.running), None),
    }


def _more_of(source: SourceView, daemon: DaemonView) -> dict[str, Any]:
    return {
        "since": daemon.started_at if daemon.running else None,
        "folder": source.path,
        "watch": source.watch,
        "watch_why": source.watch_why,
        "running": source.running,
        "pending": source.pending.number,
        "next": next(iter(source.waiting), None),
    }


def _note_daemon(view: StatusView) -> None:
    if not view.daemon.running:
        render.note("the daemon does not run, so there are no workers")


def _screen(view: StatusView, now: datetime) -> Iterator[Renderable]:
    for number, source in enumerate(view.sources):
        if number:
            yield line()
        yield line(strong(source.id), "  ", word(source.state))
        for name, value in _about(source, view.daemon, now):
            if value:
                yield item(name, value, indent=2, column=_FIELD)


def _about(source: SourceView, daemon: DaemonView, now: datetime) -> Iterator[tuple[str, str]]:
    yield "why", source.why or ""
    if daemon.running:
        yield "thread", f"{source.thread_id or '-'}, pid {daemon.pid}"
        yield "since", moment(daemon.started_at)
    yield "folder", str(source.path)
    if source.watch:
        yield "watched", f"by {source.watch}{f': {source.watch_why}' if source.watch_why else ''}"
    for task in source.running:
        yield "runs", f"{task.task_id}, since {moment(task.since)}"
        yield "", doing(task, now)
    if not source.running:
        yield "runs", "nothing"
    yield "waits", _waits(source)


def _waits(source: SourceView) -> str:
    """What comes next, and why it does not run yet."""
    if not source.waiting:
        return "nothing"
    first = source.waiting[0]
    more = f" (and {source.pending.number - 1:,} more)" if source.pending.number > 1 else ""
    return f"{first.task_id}: {first.why}{more}"


def _show(installation: Installation, *, as_json: bool) -> None:
    view = app_status.status(installation, now=installation.now(), waiting_shown=0)
    if as_json:
        answer = {
            "daemon": view.daemon.running,
            "workers": [_line_of(source) for source in view.sources],
            "schema_version": _SCHEMA_VERSION,
        }
        render.say_json(answer)
        return
    _note_daemon(view)
    rows: list[tuple[Part, ...]] = []
    for source in view.sources:
        running = ", ".join(task.task_id for task in source.running)
        task = source.task_id or running or "-"
        rows.append((source.id, word(source.state), str(source.thread_id or "-"), task))
    render.show(table(rows, head=_HEAD, lead=len(_HEAD)))
