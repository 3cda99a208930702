"""The event log: what follows a cursor, and ``reindex``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task_queue.app.finding import known_or_as_typed
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.event_record import event_types
from task_queue.store.event_files import EventFolder
from task_queue.store.event_log import EVENTS_LOST
from task_queue.store.event_reader import CURSOR_RESET, END, EventReader, LoggedEvent

__all__ = [
    "EventReader",
    "LoggedEvent",
    "Reindexed",
    "UnknownEventTypeError",
    "end_of_log",
    "folders_of_log",
    "from_now_on",
    "open_events",
    "reindex",
]


class UnknownEventTypeError(TaskQueueError):
    """No event has that type."""


@dataclass(frozen=True, slots=True)
class Reindexed:
    settled: int
    """How many results the new log has an event of."""
    attention: int
    """How many of them need a person."""
    schema_version: int = 1


def open_events(
    installation: Installation,
    *,
    after: str | None = None,
    types: Collection[str] = (),
    task: str | None = None,
    warn: Callable[[str], None],
) -> EventReader:
    """What follows the event of the cursor *after* (``EventReader``), of *types* and of *task* only, if given.

    *warn* is called with what is skipped because it cannot be read. Raises UnknownEventTypeError.
    """
    known = (*event_types(), EVENTS_LOST, CURSOR_RESET)
    for name in types:
        if name not in known:
            raise UnknownEventTypeError(
                f"there is no type of event '{name}'", hint=f"types: {', '.join(known)}"
            )
    task_id = None if task is None else known_or_as_typed(task, installation.sources())
    return EventReader(installation.locations.events, after, types=types, task_id=task_id, warn=warn)


def from_now_on(installation: Installation, *, warn: Callable[[str], None]) -> EventReader:
    """Only what follows, of all tasks."""
    reader = EventReader(installation.locations.events, END, warn=warn)
    with suppress(OSError):
        list(reader.events())
    # Where there is no log yet, all that will be in it follows.
    return EventReader(installation.locations.events, warn=warn) if reader.cursor == END else reader


def end_of_log(installation: Installation) -> str:
    """To be compared with an earlier one: it differs once something has happened. Empty without a log."""
    try:
        return EventFolder(installation.locations.events).end()
    except OSError:
        return ""


def folders_of_log(installation: Installation) -> tuple[Path, ...]:
    """Something changes in one of them when the log grows. Raises OSError."""
    folder = EventFolder(installation.locations.events)
    epoch = folder.current_epoch()
    return (folder.path,) if epoch is None else (folder.path, folder.segments_of(epoch))


def reindex(installation: Installation, *, warn: Callable[[str], None]) -> Reindexed:
    """Rebuild from the results of all sources the log, and the index of those that need a person.

    *warn* is called for each that cannot be read.
    Raises TaskQueueError if another one is at work, ConfigError, OSError.
    """
    from task_queue.store.event_rebuild import reindex as rebuild
    from task_queue.store.folder.needing import note_need_of

    installation.demand_trust()
    layouts = {source.id: source.folders for source in installation.sources()}
    attention = 0

    def see(source: str, result: Mapping[str, Any]) -> None:
        nonlocal attention
        attention += note_need_of(layouts[source], result)

    results = {source: layout.results for source, layout in layouts.items()}
    settled = rebuild(installation.locations.events, results, warn=warn, see=see)
    record_action(installation, "reindex")
    return Reindexed(settled, attention)
