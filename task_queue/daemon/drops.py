"""Which documents were seen before: ``dropped`` is emitted once for each, however often the daemon starts.

Kept are the latest change time of each source's documents, written now and then, and what the recent events say
of those that came after that. A kill can make one event of a document two, or none; no decision depends on it.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from task_queue.domain.event_record import type_of
from task_queue.domain.events import TaskDropped
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.json_files import json_object, whole_in
from task_queue.store.event_reader import EventReader

log = logging.getLogger(__name__)
_LIMIT = 2**20


class Drops:
    """Of all sources. Each source's worker asks for its own; ``save`` is for the main thread."""

    def __init__(self, path: Path, events: Path) -> None:
        self._path = path
        self._saved = _marks_in(path)
        self._before = dict(self._saved)
        self._now = dict(self._saved)
        self._recent = _recently_dropped(events)

    def is_new(self, source: str, task_id: TaskId, changed_ns: int) -> bool:
        """Whether no event named the document that was changed last at *changed_ns*; it is known from then on."""
        self._now[source] = max(self._now.get(source, 0), changed_ns)
        known = max(self._before.get(source, 0), self._recent.get((source, task_id), 0))
        return changed_ns > known

    def save(self) -> None:
        marks = dict(self._now)
        if marks == self._saved:
            return
        try:
            durable.replace(self._path, json.dumps(marks).encode() + b"\n")
        except OSError as error:
            log.warning("not written path=%s error=%s", self._path, error)
        self._saved = marks


def _marks_in(path: Path) -> dict[str, int]:
    content = json_object(path, limit=_LIMIT)
    if not isinstance(content, dict):
        return {}
    return {name: at for name in content if (at := whole_in(content, name)) is not None}


def _recently_dropped(events: Path) -> dict[tuple[str, str], int]:
    reader = EventReader(events, types=(type_of(TaskDropped),))
    found: dict[tuple[str, str], int] = {}
    try:
        reader.skip_to_last_segment()
        for event in reader.events():
            if event.source and event.task_id:
                found[event.source, event.task_id] = int(event.at.timestamp() * 1e9)
    except OSError as error:
        log.warning("event log not read error=%s", error)
    finally:
        reader.close()
    return found
