"""The cycles of dependencies over all sources: each worker puts in what waits in its own, and ends what closed one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from task_queue.domain.document.cycles import Cycles, PlaceOf
from task_queue.domain.task import TaskId


class SharedCycles:
    """Thread-safe. *wake* is called with each other source in which a task is to be ended now.

    While not *all_seen*, no task closes a cycle: which one does may be for a source to say that was not looked at yet.
    """

    def __init__(
        self, place_of: PlaceOf, *, wake: Callable[[str], None], all_seen: Callable[[], bool] = lambda: True
    ) -> None:
        self._cycles = Cycles(place_of)
        self._wake = wake
        self._all_seen = all_seen
        self._lock = threading.Lock()
        self._woken: Mapping[str, Mapping[TaskId, str]] = {}

    def of(self, source: str) -> SharedCyclesOfSource:
        return SharedCyclesOfSource(self, source)

    def put(self, source: str, task_id: TaskId, depends_on: tuple[TaskId, ...], changed_ns: int) -> None:
        with self._lock:
            self._cycles.put(source, task_id, depends_on, changed_ns)

    def discard(self, source: str, task_id: TaskId) -> None:
        with self._lock:
            self._cycles.discard(source, task_id)

    def discard_all(self, source: str) -> None:
        """The source is not served any more."""
        with self._lock:
            self._cycles.discard_all(source)

    def closing(self, source: str) -> Mapping[TaskId, str]:
        if not self._all_seen():
            return {}
        with self._lock:
            found = self._cycles.closing()
            others = [each for each in found if each != source and found[each] != self._woken.get(each)]
            self._woken = found
        for other in others:
            self._wake(other)
        return found.get(source, {})

    def judge(self) -> None:
        """All sources have been looked at now."""
        with self._lock:
            self._woken = self._cycles.closing()
            waking = list(self._woken)
        for each in waking:
            self._wake(each)


@dataclass(frozen=True, slots=True)
class SharedCyclesOfSource:
    """Implements domain.document.cycles.CyclesOfSource."""

    shared: SharedCycles
    source: str

    def put(self, task_id: TaskId, depends_on: tuple[TaskId, ...], changed_ns: int) -> None:
        self.shared.put(self.source, task_id, depends_on, changed_ns)

    def discard(self, task_id: TaskId) -> None:
        self.shared.discard(self.source, task_id)

    def closing(self) -> Mapping[TaskId, str]:
        return self.shared.closing(self.source)
