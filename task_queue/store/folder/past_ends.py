"""What outlives the files of an ended task: that it ended and how, its numbers, and its event for ``reindex``.

    results/.ended.jsonl   {"id": ..., "state": "completed", "attempts": 2, "at": ..., "attempt": 2, "settled": {...}}

A line is durable before the first file of its task goes, and no line is ever changed; of several the last counts.
Where only the logs go, ``state`` and what follows ``attempts`` is null: the document still says how the task ended.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from task_queue.domain.document import naming
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable
from task_queue.platform.json_files import object_in, text_in, time_in, whole_in
from task_queue.store.folder.layout import PAST_ENDS, Layout

_LINE = re.compile(
    rb'^\{"id":("(?:[^"\\\n]|\\.)*"),"state":(?:null|"(completed|failed)"),"attempts":(\d{1,9}),',
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class PastEnd:
    state: TaskState | None = None
    """None: only its logs are gone."""
    attempts: int = 0
    """The highest number that was used."""


@dataclass(frozen=True, slots=True)
class PastSettled:
    """The ``settled`` event of a task whose result is gone."""

    task_id: TaskId
    at: datetime
    attempt: int
    data: Mapping[str, Any]


def past_end(layout: Layout, task_id: TaskId) -> PastEnd | None:
    """None where no file of *task_id* was removed. Costs as much as was noted since the last time."""
    return past_ends(layout).get(task_id)


def past_ends(layout: Layout) -> Mapping[TaskId, PastEnd]:
    return _index_at(layout.past_ends).read()


def note_past_ends(layout: Layout, ends: Iterable[tuple[TaskId, PastEnd, PastSettled | None]]) -> None:
    """Durable on return. For one at a time. Raises OSError."""
    if not os.path.lexists(layout.past_ends):
        durable.publish(layout.past_ends, b"")
    durable.append(layout.past_ends, b"".join(_line_of(*each) for each in ends))


def past_settled(results: Path) -> Iterator[PastSettled]:
    """Of the tasks whose results were in the folder *results*; the newest line of each first. Raises OSError."""
    try:
        data, _ = durable.read_regular(results / PAST_ENDS, limit=2**40)
    except FileNotFoundError:
        return
    seen: set[tuple[str, int]] = set()
    for line in reversed(data.split(b"\n")):
        content = object_in(line) if line else None
        if not isinstance(content, dict):
            continue
        task_id, attempt, at = text_in(content, "id"), whole_in(content, "attempt"), time_in(content, "at")
        data_of = content.get("settled")
        if task_id is None or attempt is None or at is None or not isinstance(data_of, dict):
            continue
        if naming.is_task_id(task_id) and (task_id, attempt) not in seen:
            seen.add((task_id, attempt))
            yield PastSettled(TaskId(task_id), at, attempt, data_of)  # pyright: ignore[reportUnknownArgumentType] # JSON


def _line_of(task_id: TaskId, end: PastEnd, settled: PastSettled | None) -> bytes:
    content = {
        "id": task_id,
        "state": end.state,
        "attempts": end.attempts,
        "at": settled and settled.at.isoformat(),
        "attempt": settled and settled.attempt,
        "settled": settled and dict(settled.data),
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


class _Index:
    """The file at *path* as far as it was read; only what was appended is read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._found: dict[TaskId, PastEnd] = {}

    def read(self) -> Mapping[TaskId, PastEnd]:
        """Nothing where there is no file, or it cannot be read."""
        try:
            about = self._path.lstat()
        except OSError:
            return {}
        with self._lock:
            file = (about.st_dev, about.st_ino)
            if file != self._file or about.st_size < self._offset:
                self._file, self._offset, self._found = file, 0, {}
            if about.st_size > self._offset:
                self._read_on()
            return self._found

    def _read_on(self) -> None:
        try:
            with durable.open_regular(self._path) as lines:
                lines.seek(self._offset)
                data = lines.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        for line in _LINE.finditer(whole):
            task_id = TaskId(json.loads(line[1]))
            earlier = self._found.get(task_id, PastEnd())
            state = TaskState(line[2].decode()) if line[2] else earlier.state
            self._found[task_id] = PastEnd(state, max(int(line[3]), earlier.attempts))
        self._offset += len(whole)


@cache
def _index_at(path: Path) -> _Index:
    return _Index(path)
