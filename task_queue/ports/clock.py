"""The seam to time."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time is told, never asked for by the domain."""

    def now(self) -> datetime:
        """Aware wall-clock time: to show, for ``not_before`` and for limits."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow and stand still while the machine sleeps: for deadlines."""
        ...
