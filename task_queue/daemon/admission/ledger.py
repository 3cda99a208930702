"""What was spent, an attempt a line: ``ledger.jsonl`` in the state directory. Costs are in USD.

An attempt is entered once, however often recovery repeats the step.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path

from task_queue.platform import durable
from task_queue.platform.json_files import (
    last_lines,
    number_in,
    object_in,
    text_in,
    time_in,
    whole_in,
)

log = logging.getLogger(__name__)
_LIMIT = 64 * 2**20
"""Bytes of the ledger that are read: more attempts than any budget has to know."""


class Ledger:
    """Thread-safe. Days are local ones, as people's budgets are."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entered: set[tuple[str, str, int]] = set()
        self._by_day: defaultdict[tuple[date, str], float] = defaultdict(float)
        unread = sum(not self._take(line) for line in _lines(path))
        if unread:
            log.warning("ledger lines not read, their cost is not counted path=%s lines=%d", path, unread)

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
            durable.append(self._path, json.dumps(entry).encode() + b"\n")
            self._take(json.dumps(entry))

    def spent_on(self, day: date, source: str | None = None) -> float:
        """USD of *day*, of one source or of all."""
        with self._lock:
            return sum(
                usd
                for (entered, of_source), usd in self._by_day.items()
                if entered == day and source in {None, of_source}
            )

    def _take(self, line: str) -> bool:
        """Whether *line* could be read; one torn by a power cut cannot."""
        entry = object_in(line)
        if isinstance(entry, str):
            return False
        source, task_id, attempt = (
            text_in(entry, "source"),
            text_in(entry, "task_id"),
            whole_in(entry, "attempt"),
        )
        at, usd = time_in(entry, "at"), number_in(entry, "usd")
        if source is None or task_id is None or attempt is None or at is None or usd is None:
            return False
        key = (source, task_id, attempt)
        if key not in self._entered:
            self._entered.add(key)
            self._by_day[at.date(), source] += usd
        return True


def _lines(path: Path) -> list[str]:
    try:
        return last_lines(path, limit=_LIMIT)[0]
    except FileNotFoundError:
        return []
