"""What was spent, an attempt a line: ``ledger.jsonl`` in the state directory. Costs are in USD.

An attempt is entered once, however often recovery repeats the step.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import defaultdict
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

from task_queue.platform import durable
from task_queue.platform.json_files import (
    number_in,
    object_in,
    text_in,
    time_in,
    whole_in,
)
from task_queue.platform.lockfile import locked
from task_queue.ports.fleet import SpentEntry

log = logging.getLogger(__name__)
_LIMIT = 64 * 2**20
"""Bytes of the ledger that are read: more attempts than any budget has to know."""


class Ledger:
    """Thread-safe, and one of several: the daemon and the API each have one on the same file.

    Days are local ones, as people's budgets are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entered: set[tuple[str, str, int]] = set()
        self._by_day: defaultdict[tuple[date, str], float] = defaultdict(float)
        self._end = 0
        """Of what was read, in bytes."""
        self._read_on()

    def enter(
        self, source: str, task_id: str, attempt: int, usd: float, *, at: datetime, estimated: float = 0.0
    ) -> None:
        """Note what an attempt cost, *estimated* of it by estimate. Raises OSError if it cannot be written."""
        entry = {
            "at": at.isoformat(),
            "source": source,
            "task_id": task_id,
            "attempt": attempt,
            "usd": usd,
            "estimated_usd": estimated,
        }
        with self._lock:
            if (source, task_id, attempt) in self._entered:
                return
            with locked(self._path.with_suffix(".lock")):
                durable.append(self._path, json.dumps(entry).encode() + b"\n")
            self._read_on()

    def spent_on(self, day: date, source: str | None = None) -> float:
        """USD of *day*, of one source or of all."""
        with self._lock:
            with suppress(OSError):  # what was known counts on
                self._read_on()
            return sum(
                usd
                for (entered, of_source), usd in self._by_day.items()
                if entered == day and source in {None, of_source}
            )

    def _read_on(self) -> None:
        """What was appended since, by whichever process. Raises OSError."""
        try:
            size = os.stat(self._path, follow_symlinks=False).st_size  # noqa: PTH116 - asked at each look
        except FileNotFoundError:
            return
        if size == self._end:
            return
        start = max(0 if size < self._end else self._end, size - _LIMIT)  # smaller: it was put in place anew
        with durable.open_regular(self._path) as file:
            data = os.pread(file.fileno(), size - start, start)
        whole = data[: data.rfind(b"\n") + 1]
        self._end = start + len(whole)
        lines = whole.decode(errors="replace").splitlines()
        if start == size - _LIMIT:
            del lines[:1]
        unread = sum(not self._take(line) for line in lines if line)
        if unread:
            log.warning(
                "ledger lines not read, their cost is not counted path=%s lines=%d", self._path, unread
            )

    def _take(self, line: str) -> bool:
        """Whether *line* could be read; one torn by a power cut cannot."""
        entry = _entry_in(line)
        if entry is None:
            return False
        key = (entry.source, entry.task_id, entry.attempt)
        if key not in self._entered:
            self._entered.add(key)
            self._by_day[entry.at.date(), entry.source] += entry.usd
        return True


def entries_after(path: Path, place: int) -> tuple[list[SpentEntry], int]:
    """What is in the ledger at *path* after *place* bytes, and where that ends. Raises OSError."""
    try:
        with durable.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            data = os.pread(file.fileno(), min(_LIMIT, max(0, size - place)), place)
    except FileNotFoundError:
        return [], place
    whole = data[: data.rfind(b"\n") + 1]
    entries = map(_entry_in, whole.decode(errors="replace").splitlines())
    return [entry for entry in entries if entry is not None], place + len(whole)


def _entry_in(line: str) -> SpentEntry | None:
    entry = object_in(line)
    if isinstance(entry, str):
        return None
    source, task_id = text_in(entry, "source"), text_in(entry, "task_id")
    attempt, at, usd = whole_in(entry, "attempt"), time_in(entry, "at"), number_in(entry, "usd")
    if source is None or task_id is None or attempt is None or at is None or usd is None:
        return None
    return SpentEntry(at, source, task_id, attempt, usd, number_in(entry, "estimated_usd") or 0.0)
