"""What all sources share: how many agents may run at once, whether the account may be used, room on the disk."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from task_queue.ports import Clock

_UNKNOWN_RESETS = (timedelta(minutes=15), timedelta(minutes=30), timedelta(hours=1))


class SharedGate:
    """Implements ports.Gate. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._places = 4
        self._min_free_bytes = 0
        self._folders: dict[str, Path] = {}
        self._closed: frozenset[str] = frozenset()
        self._inside: set[str] = set()
        self._waiting: dict[str, Callable[[], None]] = {}
        self._paused_until: datetime | None = None
        self._paused_why = ""
        self._pauses_in_a_row = 0

    def configure(
        self, *, places: int, min_free_mb: int, folders: Mapping[str, Path], closed: frozenset[str]
    ) -> None:
        """Take over what the configuration says; *closed* are the sources that a person paused."""
        with self._lock:
            self._places = places
            self._min_free_bytes = min_free_mb * 2**20
            self._folders = dict(folders)
            self._closed = closed
        self._ring_waiting()

    def enter(self, source: str, ring: Callable[[], None]) -> str | None:
        with self._lock:
            reason = self._why_not(source)
            if reason is None:
                self._inside.add(source)
                self._waiting.pop(source, None)
            else:
                self._waiting[source] = ring
            return reason

    def leave(self, source: str) -> None:
        with self._lock:
            self._inside.discard(source)
        self._ring_waiting()

    def pause(self, why: str, until: datetime | None) -> datetime:
        with self._lock:
            if until is None:
                step = min(self._pauses_in_a_row, len(_UNKNOWN_RESETS) - 1)
                until = self._clock.now() + _UNKNOWN_RESETS[step]
                self._pauses_in_a_row += 1
            self._paused_until, self._paused_why = until, why
            return until

    def _why_not(self, source: str) -> str | None:
        now = self._clock.now()
        if source in self._closed:
            return "the source is paused; go on with: task-queue sources resume --source-id " + source
        if self._paused_until is not None and now < self._paused_until:
            return (
                f"account paused until {self._paused_until.astimezone():%Y-%m-%d %H:%M}: {self._paused_why}"
            )
        if len(self._inside) >= self._places:
            return f"all {self._places} places for agents are taken"
        folder = self._folders.get(source)
        if folder is not None and folder.is_dir():
            free = shutil.disk_usage(folder).free
            if free < self._min_free_bytes:
                least = self._min_free_bytes // 2**20
                return f"only {free // 2**20} MB are free on the disk of {folder}, less than {least}"
        return None

    def _ring_waiting(self) -> None:
        with self._lock:
            bells = list(self._waiting.values())
            self._waiting.clear()
        for ring in bells:
            ring()
