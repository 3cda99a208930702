"""How many tasks ``run`` may begin, and the one moment at which it is over.

A cycle is a task that has ended: completed, failed, rejected or cancelled, after as many attempts as it took.
Claims are what is limited, not endings: a task that was begun is worked to its end, however many others end
meanwhile. Workers ask before each claim and the main thread asks whether the run is over, both under one
lock: no task is begun after that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from task_queue.domain.task import TaskId

USED_UP = "as many tasks as --cycles allows have begun"
"""Why the others wait."""
_TaskKey = tuple[str, TaskId]
"""Its source, and the name of its document without ``.md``."""


class Quota:
    """At most *tasks* are begun, None: as many as there are. Safe to use from many threads."""

    def __init__(self, tasks: int | None = None, *, changed: Callable[[], None] = lambda: None) -> None:
        """*changed* is called when a task is put down, so that the main thread looks whether it is over."""
        self._tasks = tasks
        self._changed = changed
        self._lock = threading.Lock()
        self._closed = False
        self._ended = 0
        self._in_hand: set[_TaskKey] = set()
        self._begun: set[_TaskKey] = set()
        """Claimed at least once and not ended: in hand, or waiting for another attempt."""
        self._refused: set[Callable[[], None]] = set()

    def only(self, source: str, wake: Callable[[], None]) -> frozenset[TaskId] | None:
        """The tasks of *source* that may be claimed now, None where all may; *wake* as in ``take``."""
        with self._lock:
            if not self._is_full():
                return None
            self._refused.add(wake)
            return frozenset(task_id for of, task_id in self._begun if of == source)

    def take(self, source: str, task_id: TaskId, wake: Callable[[], None]) -> bool:
        """Whether *task_id* may be claimed; ``give_back`` must follow. If not, *wake* is called when one may."""
        with self._lock:
            if self._closed or (self._is_full() and (source, task_id) not in self._begun):
                self._refused.add(wake)
                return False
            self._in_hand.add((source, task_id))
            return True

    def begin(self, source: str, task_id: TaskId) -> None:
        """It is claimed. One that an earlier daemon claimed is worked to its end even beyond the limit."""
        with self._lock:
            self._in_hand.add((source, task_id))
            self._begun.add((source, task_id))

    def give_back(self, source: str, task_id: TaskId, *, ended: bool) -> None:
        """It has *ended*, waits for another attempt, or could not be claimed."""
        with self._lock:
            self._in_hand.discard((source, task_id))
            if ended:
                self._begun.discard((source, task_id))
                self._ended += 1
        self._wake_refused()
        self._changed()

    def keep(self, source: str, is_left: Callable[[TaskId], bool]) -> None:
        """A task of *source* that was begun and is not left, because a person took it away, frees its place."""
        with self._lock:
            give_back = self._begun - self._in_hand
            gone = {(of, task_id) for of, task_id in give_back if of == source and not is_left(task_id)}
            self._begun -= gone
        if gone:
            self._wake_refused()

    @property
    def is_filled(self) -> bool:
        """Whether as many tasks have ended as were to."""
        return self._tasks is not None and self._ended >= self._tasks

    def close(self, nothing_left: Callable[[], bool]) -> bool:
        """Whether the run is over: enough tasks have ended or there is *nothing_left*, and none is in hand.

        Once it is, no task may be claimed any more.
        """
        with self._lock:
            if not self._closed and not self._in_hand:
                self._closed = self.is_filled or nothing_left()
            return self._closed

    def _is_full(self) -> bool:
        return self._tasks is not None and self._ended + len(self._begun | self._in_hand) >= self._tasks

    def _wake_refused(self) -> None:
        with self._lock:
            if self._is_full() or self._closed:
                return
            refused, self._refused = self._refused, set()
        for wake in refused:
            wake()
