"""Which of the tasks with one ``dedupe_key`` stays: pure, over all sources of one configuration.

The first of those that wait or run stays, and each later one is a duplicate of it. Nothing is walked over but the
tasks with one key, and these only when the first of them goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from task_queue.domain.document.naming import natural
from task_queue.domain.task import TaskId

CONTENT = "content"
"""The ``dedupe_key`` that stands for the text of the task."""
_TEXT = f"{CONTENT}\n"
"""What begins such a key in here. No key of a document has a line end in it."""
KeyedName = tuple[str, TaskId]
"""Source, and id as the document is called."""


def key_of(dedupe_key: str | None, body: str) -> str | None:
    """By what a task is compared with others whose document says *dedupe_key* and, below the front matter, *body*."""
    if dedupe_key != CONTENT:
        return dedupe_key
    return _TEXT + hashlib.sha256(body.strip().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Keyed:
    """A task that waits or runs and has a ``dedupe_key``."""

    source: str
    id: TaskId
    key: str
    dropped_at: datetime
    runs: bool = False
    begun: bool = False
    """An attempt at it was made: it is never a duplicate, because work would be lost."""

    @property
    def name(self) -> KeyedName:
        return self.source, self.id

    def place(self) -> tuple[bool, bool, datetime, str, TaskId, str]:
        """Sorts the tasks with one key: what runs, then what has begun, then by the time in the name."""
        return not self.runs, not self.begun, self.dropped_at, natural(self.id), self.id, self.source


class Duplicates:
    """Each change answers with the tasks of which it may have another answer than before."""

    def __init__(self) -> None:
        self._tasks: dict[KeyedName, Keyed] = {}
        self._groups: dict[str, dict[KeyedName, Keyed]] = {}
        self._first: dict[str, Keyed] = {}

    def get(self, name: KeyedName) -> Keyed | None:
        return self._tasks.get(name)

    def put(self, task: Keyed) -> Iterable[KeyedName]:
        """Add *task*, or put it in place of the one of its name."""
        if self._tasks.get(task.name) == task:
            return ()
        changed = {task.name, *self.discard(task.name)}
        group = self._groups.setdefault(task.key, {})
        group[task.name] = self._tasks[task.name] = task
        first = self._first.get(task.key)
        if first is None or task.place() < first.place():
            self._first[task.key] = task
            changed.update(group)
        return changed

    def discard(self, name: KeyedName) -> Iterable[KeyedName]:
        task = self._tasks.pop(name, None)
        if task is None:
            return ()
        group = self._groups[task.key]
        del group[name]
        if not group:
            del self._groups[task.key], self._first[task.key]
        elif self._first[task.key].name == name:
            self._first[task.key] = min(group.values(), key=Keyed.place)
            return tuple(group)
        return ()

    def first_before(self, name: KeyedName) -> Keyed | None:
        """The task of which *name* is a duplicate."""
        task = self._tasks.get(name)
        if task is None or task.runs or task.begun:
            return None
        first = self._first[task.key]
        return None if first.name == name else first

    def names(self) -> Iterable[KeyedName]:
        return tuple(self._tasks)

    def of(self, source: str) -> list[TaskId]:
        return [task_id for of, task_id in self._tasks if of == source]

    def first_with(self, key: str) -> Keyed | None:
        return self._first.get(key)


def why_duplicate(first: Keyed, *, source: str) -> str:
    """Of a task of *source* that came later than *first*."""
    where = "" if first.source == source else f" of source '{first.source}'"
    same = "text" if first.key.startswith(_TEXT) else f"dedupe_key '{first.key}'"
    return (
        f"duplicate of {first.id}{where}, which {'runs' if first.runs else 'waits'} and has the same {same}"
    )
