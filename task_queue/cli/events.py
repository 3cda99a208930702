"""``events`` and ``reindex``: the event log."""

from __future__ import annotations

import json
import select
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from task_queue.app import event_feed
from task_queue.app.event_feed import EventReader, LoggedEvent
from task_queue.app.installation import Installation
from task_queue.app.spelling import moment
from task_queue.cli import render
from task_queue.cli.completing import tasks_in
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation

if TYPE_CHECKING:
    from task_queue.client.answers import EventAnswer

_SCHEMA_VERSION = 1
_POLL_MS = 250
_TYPE_WIDTH = 21
_AT_ONCE = 1000


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Wait for more, and print each new event.")
@click.option(
    "--after", metavar="CURSOR", help="Only what follows this event; end: only what comes from now on."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only events of this type (repeatable).")
@click.option("--task", metavar="ID", help="Only events of this task.", shell_complete=tasks_in())
@click.option("--json", "as_json", is_flag=True, help="One event a line, with its cursor and schema_version.")
@server_options
@pass_installation
def events(
    installation: Installation,
    *,
    follow: bool,
    after: str | None,
    limit: int | None,
    types: tuple[str, ...],
    task: str | None,
    server: QueueServer | None,
    as_json: bool,
) -> None:
    """What happened, oldest first: tasks, attempts, phases, sources, the daemon, and what people did."""
    if server is not None:
        wanted = _of_server(server, after=after, types=types, task=task, follow=follow)
        for event in islice(wanted, limit):
            render.say(_as_line_of_json(event) if as_json else _as_line(event))
        return
    reader = event_feed.open_events(installation, after=after, types=types, task=task, warn=render.note)
    for event in islice(_following(reader) if follow else reader.events(), limit):
        render.say(_as_line_of_json(event) if as_json else _as_line(event))
    reader.close()


@click.command()
@as_json_option
@pass_installation
def reindex(installation: Installation, *, as_json: bool) -> None:
    """Rebuild the event log and the index of attention from all results; a cursor from before gets cursor_reset."""
    done = event_feed.reindex(installation, warn=render.note)
    if as_json:
        render.say_json(done)
    else:
        needing = f", {done.attention} of results that need a person" if done.attention else ""
        render.say(f"rebuilt: {done.settled} settled event{'' if done.settled == 1 else 's'}{needing}")


def _following(reader: EventReader) -> Iterator[LoggedEvent]:
    """Ends when the reader of standard output has closed it."""
    gone = select.poll()
    gone.register(sys.stdout.fileno(), 0)  # only that the other end was closed
    while not gone.poll(0):
        yield from reader.events()
        gone.poll(_POLL_MS)


def _of_server(
    server: QueueServer, *, after: str | None, types: Sequence[str], task: str | None, follow: bool
) -> Iterator[LoggedEvent]:
    """The same of its log; what follows comes over any number of lost connections."""
    from task_queue.client import task_operations

    task_id = None if task is None else server.task_id(task)
    more, cursor = True, after
    while more:
        asked = task_operations.events_page(task=task_id, after=cursor, types=types, limit=_AT_ONCE)
        page = server.ask(asked)
        yield from (_logged(event) for event in page.events if not types or event.type in types)
        more, cursor = page.more, page.cursor
    if follow:
        with server.guarding():
            for event in server.client.events(task=task_id, after=cursor or "end", types=types):
                yield _logged(event)


def _logged(event: EventAnswer) -> LoggedEvent:
    at = datetime.fromisoformat(event.at)
    return LoggedEvent(event.cursor, at, event.source, event.task_id, event.attempt, event.type, event.data)


def _as_line_of_json(event: LoggedEvent) -> str:
    """Everything beyond ASCII is escaped, so no control character gets through."""
    return json.dumps(
        {
            "cursor": event.cursor,
            "at": event.at.isoformat(),
            "source": event.source,
            "task_id": event.task_id,
            "attempt": event.attempt,
            "type": event.type,
            "data": event.data,
            "schema_version": _SCHEMA_VERSION,
        }
    )


def _as_line(event: LoggedEvent) -> str:
    about = [part for part in (event.source, event.task_id) if part]
    if event.attempt is not None:
        about.append(f"attempt {event.attempt}")
    rest = [
        f"{name}={_value(value)}" for name, value in event.data.items() if value not in (None, "", [], {})
    ]
    return "  ".join([moment(event.at), event.type.ljust(_TYPE_WIDTH), *about, " ".join(rest)]).rstrip()


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) and " " in text else text
