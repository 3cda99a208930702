"""The daemon's own log, wherever it writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from task_queue.app.daemon_state import logs_to_journal
from task_queue.app.installation import Installation
from task_queue.daemon import log
from task_queue.domain.events import Event


def log_file(installation: Installation) -> Path | None:
    """Where the log is, or will be; None if the daemon that ran last wrote to the journal."""
    if logs_to_journal(installation.locations.daemon_state):
        return None
    return installation.locations.log


def log_lines(installation: Installation, *, lines: int, follow: bool = False) -> Iterator[str]:
    """The last *lines* lines; with *follow* then each new one, without end.

    Raises TaskQueueError if the journal cannot be read.
    """
    path = log_file(installation)
    if path is None:
        yield from log.journal(lines, follow=follow)
    elif follow:
        yield from log.follow(path, lines=lines)
    else:
        yield from log.tail(path, lines)


def line_of(event: Event) -> str:
    """*event* as the log has it."""
    return log.describe(event)[1]
