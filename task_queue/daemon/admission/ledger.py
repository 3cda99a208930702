"""What was spent, an attempt a line: ``ledger.jsonl`` in the state directory. Costs are in USD.

An attempt is entered once, however often recovery repeats the step.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import defaultdict
from datetime import date, datetime
from math import isfinite
from pathlib import Path

from task_queue.platform import durable

log = logging.getLogger(__name__)


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
        try:
            entry = json.loads(line)
            key = (str(entry["source"]), str(entry["task_id"]), int(entry["attempt"]))
            day, usd = datetime.fromisoformat(entry["at"]).astimezone().date(), float(entry["usd"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        if not isfinite(usd):
            return False
        if key not in self._entered:
            self._entered.add(key)
            self._by_day[day, key[0]] += usd
        return True


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
