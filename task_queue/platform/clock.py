"""The real clock. ``time.monotonic`` stands still while the machine sleeps (CLOCK_MONOTONIC on Linux)."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
