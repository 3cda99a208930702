"""The seam to time."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The domain gets the time as an argument and never asks for it."""

    def now(self) -> datetime:
        """Aware wall-clock time: to show, for ``not_before`` and for limits."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow and stand still while the machine sleeps: for deadlines."""
        ...


class Waiter(Protocol):
    """One thread's waiting, which other threads may end."""

    def wait(self, timeout_s: float | None, *others: int) -> bool:
        """Wait to be woken or for one of *others* to become readable; True if anything happened in time."""
        ...
