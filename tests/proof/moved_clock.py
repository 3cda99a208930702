"""The command line with a clock that is moved: the seconds in the file that ``MOVED_CLOCK`` names are added to it.

MOVED_CLOCK=/tmp/moved python -m tests.proof.moved_clock api
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from task_queue.cli import main
from task_queue.platform.clock import SystemClock

VARIABLE = "MOVED_CLOCK"


class MovedClock:
    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._moved_s)

    def monotonic(self) -> float:
        return time.monotonic() + self._moved_s

    def move(self, seconds: float) -> None:
        later = self._path.with_suffix(".new")
        later.write_text(str(self._moved_s + seconds))
        later.replace(self._path)

    @property
    def _moved_s(self) -> float:
        return float(self._path.read_text()) if self._path.exists() else 0.0


if __name__ == "__main__":
    moved = MovedClock(Path(os.environ[VARIABLE]))
    for name in ("now", "monotonic"):
        setattr(SystemClock, name, staticmethod(getattr(moved, name)))
    main()
