"""Stops a source that starts attempt after attempt while no task succeeds."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

_WINDOW = timedelta(minutes=10)


class Breaker:
    """Of all sources. Not thread-safe: the admission's lock guards it."""

    def __init__(self) -> None:
        self._starts: dict[str, deque[datetime]] = {}
        self._tripped: dict[str, str] = {}

    def started(self, source: str, now: datetime) -> None:
        self._starts.setdefault(source, deque()).append(now)

    def succeeded(self, source: str) -> None:
        self._starts.pop(source, None)

    def reset(self, source: str) -> None:
        """A person let the source go on."""
        self._tripped.pop(source, None)
        self._starts.pop(source, None)

    def tripped(self, source: str) -> str | None:
        """Why *source* was stopped, if it was."""
        return self._tripped.get(source)

    def trip(self, source: str, now: datetime, *, running: int, starts_per_10min: int) -> str | None:
        """Stop *source* if one more start would be too many; returns why. The *running* ones may still succeed."""
        starts = self._starts.get(source, deque[datetime]())
        while starts and not timedelta() <= now - starts[0] <= _WINDOW:  # to come: the clock was set back
            starts.popleft()
        if len(starts) - running < starts_per_10min:
            return None
        self._tripped[source] = (
            f"stopped by the breaker: {len(starts)} starts in 10 minutes and no task succeeded;"
            f" go on with: task-queue sources resume {source}"
        )
        return self._tripped[source]
