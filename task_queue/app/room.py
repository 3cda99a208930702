"""How many tasks may wait in a source, and what is known of when there is room where it is full."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from task_queue.app.installation import Installation
from task_queue.config.document import SourceEntry, max_pending_of
from task_queue.domain.errors import QueueFull


@contextmanager
def room_in(installation: Installation, entry: SourceEntry) -> Generator[int]:
    """How many tasks may wait in the source; a QueueFull from within says when there may be room."""
    try:
        yield max_pending_of(installation.content, entry)
    except QueueFull as error:
        hint = f"{_when(installation, entry)}; more may wait with: task-queue config set {_key(entry)} N"
        raise QueueFull(error.pending, error.waiting, error.max_pending, hint=hint) from error


def _key(entry: SourceEntry) -> str:
    return f"sources.{entry.id}.max_pending" if entry.max_pending is not None else "limits.max_pending"


def _when(installation: Installation, entry: SourceEntry) -> str:
    """In words."""
    from task_queue.app.estimating import outlook  # only where a source is full

    circumstances = installation.circumstances()
    listed = next(each for each in circumstances.sources if each.id == entry.id)
    holds = circumstances.holds(listed)
    if holds.everything is not None:
        return f"there is no room before tasks of it start again: {holds.everything}"
    if not circumstances.daemon.running and not listed.is_remote:
        return "no task of it starts before the daemon runs: task-queue daemon"
    expected = outlook(circumstances, installation.locations.events).ends
    ends = [(at, task_id) for (source, task_id), at in expected.items() if source == entry.id]
    if not ends:
        return "there is room once the next task starts"
    at, task_id = min(ends)
    return (
        f"there is room once {task_id} has ended and the next task starts, expected at about"
        f" {at.astimezone():%Y-%m-%d %H:%M}"
    )
