"""A file that says for how long processes of this machine may go on: renewed by one, read by others.

Its times are seconds of a clock that all processes of a machine share, that is never set, and that counts a suspend.
"""

from __future__ import annotations

import time
from pathlib import Path

from task_queue.platform import durable

_LIMIT = 100


class LeaseFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def now() -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def renew(self, heard_at: float) -> None:
        """It was heard of at *heard_at*. Raises OSError."""
        durable.replace(self.path, str(heard_at).encode(), sync=False)

    def age_s(self) -> float:
        """Since it was heard of last; without end where the file says nothing."""
        try:
            data, _ = durable.read_regular(self.path, limit=_LIMIT)
            return self.now() - float(data)
        except (OSError, ValueError):
            return float("inf")
