"""``workers``: each source has one; what it does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from task_queue.app import status as app_status
from task_queue.app import workers as app
from task_queue.app.answers import DaemonView, SourceView, StatusView
from task_queue.app.installation import Installation
from task_queue.app.spelling import moment
from task_queue.cli import render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.groups import CommandGroup
from task_queue.cli.render import Part, Renderable, item, line, strong, table, word
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.cli.status import doing

_FIELD = 7
_HEAD = ("SOURCE", "STATE", "THREAD", "TASK")


@click.group(cls=CommandGroup, default="list")
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
def status(installation: Installation, *, as_json: bool) -> int:
    """Everything about each worker: since when, what it runs, what it waits for, its problem.

    Exit code 3 if the daemon is down or a worker has stopped.
    """
    now = installation.now()
    view = app_status.status(installation, now=now, waiting_shown=1)
    if as_json:
        render.say_json(app.workers_of(view))
    else:
        _note_daemon(view)
        render.show(*_screen(view, now))
    return 0 if app.all_serve(view) else NEEDS_ATTENTION


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
        render.say_json(app.lines_of(view))
        return
    _note_daemon(view)
    rows: list[tuple[Part, ...]] = []
    for source in view.sources:
        running = ", ".join(task.task_id for task in source.running)
        task = source.task_id or running or "-"
        rows.append((source.id, word(source.state), str(source.thread_id or "-"), task))
    render.show(table(rows, head=_HEAD, lead=len(_HEAD)))
