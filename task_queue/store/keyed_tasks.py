"""The tasks of all sources that have a ``dedupe_key``, as far as each source has been looked at.

Shared by the sources of one process. A source says what waits and runs in it whenever it looks; where another
source changes the answer for one of its tasks, it is woken and asks for that at its next look.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from task_queue.domain.document.duplicates import Duplicates, Keyed, KeyedName, why_duplicate
from task_queue.domain.task import TaskId

_NOT_YET = "the other sources are looked at first, because one may have its dedupe_key"
_OVERTAKEN = "another task with its dedupe_key came first"


class KeyedTasks:
    """Implements ports.dedupe.Dedupe; a source's engine says what waits and runs in it with the other methods."""

    def __init__(self, wake: Callable[[str], None] = lambda _source: None) -> None:
        """*wake* is called with the id of a source that has to look again."""
        self._wake = wake
        self._when_all_seen: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._duplicates = Duplicates()
        self._changed: dict[str, set[TaskId]] = {}
        self._unseen: set[str] = set()
        self._started: set[KeyedName] = set()

    def expect(self, source: str) -> None:
        """Judge and start none of these tasks before *source* was looked at: one of its tasks may have the key."""
        with self._lock:
            self._unseen.add(source)

    def seen(self, source: str) -> None:
        """It was looked at, or cannot be."""
        with self._lock:
            if source not in self._unseen:
                return
            self._unseen.discard(source)
            if self._unseen:
                return
            waking = self._note(self._duplicates.names())
        for each in waking:
            self._wake(each)
        self._when_all_seen()

    def when_all_seen(self, then: Callable[[], None]) -> None:
        """*then* is called each time when the last of the sources that were expected has been looked at."""
        self._when_all_seen = then

    def all_seen(self) -> bool:
        with self._lock:
            return not self._unseen

    def forget(self, source: str) -> None:
        """It is not served any more."""
        for task_id in self._tasks_of(source):
            self.discard(source, task_id)
        self.seen(source)

    def put(self, task: Keyed) -> None:
        with self._lock:
            waking = self._note(self._duplicates.put(task)) if task.name not in self._started else set[str]()
        for each in waking - {task.source}:
            self._wake(each)

    def discard(self, source: str, task_id: TaskId) -> None:
        with self._lock:
            name = (source, task_id)
            if self._duplicates.get(name) is None or name in self._started:
                return
            waking = self._note(self._duplicates.discard(name))
        for each in waking - {source}:
            self._wake(each)

    def take_changed(self, source: str) -> set[TaskId]:
        """Tasks of *source* that have another answer than when this was asked last."""
        with self._lock:
            return self._changed.pop(source, set())

    def why_duplicate(self, source: str, task_id: TaskId) -> str | None:
        with self._lock:
            first = None if self._unseen else self._duplicates.first_before((source, task_id))
        return None if first is None else why_duplicate(first, source=source)

    def has_any(self, source: str) -> bool:
        """Whether a task of *source* waits or runs that has a key."""
        with self._lock:
            return bool(self._duplicates.of(source))

    def first_with(self, key: str) -> Keyed | None:
        """The task that stays of those with *key*."""
        with self._lock:
            return self._duplicates.first_with(key)

    def start(self, source: str, task_id: TaskId) -> str | None:
        """Count the task as running until ``stop`` or ``end``, so that no other with its key starts; or say why not."""
        with self._lock:
            task = self._duplicates.get((source, task_id))
            if task is None:
                return None
            if self._unseen:
                return _NOT_YET
            if self._duplicates.first_before(task.name) is not None:
                return _OVERTAKEN
            self._started.add(task.name)
            self._note(self._duplicates.put(replace(task, runs=True)))
        return None

    def stop(self, source: str, task_id: TaskId) -> None:
        """It does not run any more; it waits again, unless it has ended."""
        with self._lock:
            self._started.discard((source, task_id))
            task = self._duplicates.get((source, task_id))
        if task is not None:
            self.put(replace(task, runs=False))

    def end(self, source: str, task_id: TaskId) -> None:
        """It has ended, or is about to without having run."""
        with self._lock:
            self._started.discard((source, task_id))
        self.discard(source, task_id)

    def _tasks_of(self, source: str) -> list[TaskId]:
        with self._lock:
            return self._duplicates.of(source)

    def _note(self, names: Iterable[KeyedName]) -> set[str]:
        sources: set[str] = set()
        for source, task_id in names:
            sources.add(source)
            self._changed.setdefault(source, set()).add(task_id)
        return sources
