"""Recurring tasks of all sources, put into their queues when they are due, in a thread of its own.

A worker is busy for as long as a task of it runs; a due time comes meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.daemon.worker import LONGEST_WAIT_FOR_A_TIME_S
from task_queue.domain.document import naming
from task_queue.domain.events import ScheduleBroken
from task_queue.domain.task import TaskId
from task_queue.platform.wakeup import Wakeup
from task_queue.ports.clock import Clock
from task_queue.ports.emit import Emit
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.materialising import Materialiser
from task_queue.store.folder.states import state_in


class DueTasks:
    """``serve`` is its thread; ``start``, ``look_soon`` and ``stop`` are for others."""

    def __init__(
        self,
        config_of: Callable[[], Config],
        *,
        arrived: Callable[[str, str, bool], None],
        clock: Clock,
        emit: Emit,
    ) -> None:
        """*arrived* is called with a source, the name of a document that came into it, and True."""
        self._config_of = config_of
        self._arrived = arrived
        self._clock = clock
        self._emit = emit
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._materialisers: dict[Path, Materialiser] = {}
        self._troubles: dict[str, Mapping[str, str]] = {}

    def start(self) -> None:
        """Put into the queue what is due already, then go on in the thread."""
        wait_s = self.look()
        threading.Thread(target=self.serve, args=(wait_s,), name="schedules", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        self._wakeup.wake()

    def look_soon(self) -> None:
        """A schedule may have been written or changed."""
        self._wakeup.wake()

    def serve(self, wait_s: float) -> None:
        while True:
            self._wakeup.wait(wait_s)
            if self._stopping.is_set():
                return
            wait_s = self.look()

    def look(self) -> float:
        """Do what is due in every source; returns for how many seconds there is nothing to do unless woken.

        Never longer than a moment: the clock may be set, and does not stand still while the machine is suspended.
        """
        config = self._config_of()
        dues = [due for source in config.sources if (due := self._look_at(source)) is not None]
        listed = {source.path for source in config.sources}
        self._materialisers = {path: each for path, each in self._materialisers.items() if path in listed}
        if not dues:
            return LONGEST_WAIT_FOR_A_TIME_S
        wait_s = (min(dues) - self._clock.now()).total_seconds()
        return min(max(wait_s, 0.0), LONGEST_WAIT_FOR_A_TIME_S)

    def _look_at(self, source: Source) -> datetime | None:
        materialiser = self._materialisers.get(source.path)
        if materialiser is None:
            materialiser = self._materialisers[source.path] = self._materialiser_of(source)
        try:
            looked = materialiser.look(self._clock.now())
        except OSError as error:
            self._note_trouble(source.id, {"": f"{error.filename or source.path}: {error.strerror or error}"})
            return None
        except ValueError as error:  # a time zone that was on the machine is gone
            self._note_trouble(source.id, {"": str(error)})
            return None
        for task_id in looked.arrived:
            self._arrived(source.id, naming.document_of(task_id), True)
        self._note_trouble(source.id, looked.trouble)
        return looked.next_due

    def _materialiser_of(self, source: Source) -> Materialiser:
        def is_taken(task_id: str) -> bool:
            others = (Layout(other.path) for other in self._config_of().sources if other.id != source.id)
            return state_in(others, TaskId(task_id)) is not None

        return Materialiser(
            source.id,
            Layout(source.path),
            is_taken=is_taken,
            emit=self._emit,
            settle_s=lambda: self._config_of().settle_seconds,
        )

    def _note_trouble(self, source_id: str, troubles: Mapping[str, str]) -> None:
        before = self._troubles.get(source_id, {})
        for name, why in troubles.items():
            if before.get(name) != why:
                self._emit(ScheduleBroken(source_id, name, why))
        self._troubles[source_id] = troubles
