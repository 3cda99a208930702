"""When the silence of a running agent is too long. Pure: the caller passes the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from task_queue.domain.attempt.progress import Progress
from task_queue.domain.attempt.verdict import Timer


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds of time awake."""

    connect_s: float = 90.0
    first_frame_s: float = 120.0
    idle_s: float = 900.0
    tool_s: float = 780.0
    """Silence allowed while a tool runs, if longer than ``idle_s``: the longest Bash call and a margin."""
    hook_s: float = 630.0
    """Silence allowed while a hook runs, if longer: the CLI ends one after 600 s (2.1.332)."""
    ahead_s: float = 1800.0
    """How old a session becomes that is connected and not asked anything."""
    wall_clock_s: float = 7200.0


@dataclass(slots=True)
class Watch:
    """Fed with every frame of one session; ``started_at`` and every ``now`` are monotonic seconds."""

    timers: Timers
    started_at: float
    progress: Progress = field(default_factory=Progress)
    _prompted_at: float | None = None
    _held_since: float | None = None
    _heard: bool = False
    _quiet_since: float = 0.0

    def connected_ahead(self, now: float) -> None:
        """It waits for its prompt, which may take longer than any silence."""
        self._held_since = now

    def begin(self, now: float, *, wall_clock_s: float) -> None:
        """The prompt of a session that waited is there: time counts from now on."""
        self._held_since = None
        self.started_at = now
        self.timers = replace(self.timers, wall_clock_s=wall_clock_s)

    def prompted(self, now: float) -> None:
        """The CLI has the prompt."""
        self._prompted_at = now
        self._quiet_since = max(self._quiet_since, now)

    def heard(self, frame: Mapping[str, Any], now: float) -> None:
        """Take in one frame from the CLI."""
        self.progress.add("in", frame)
        if frame.get("type") == "control_response":
            return
        self._heard = self._prompted_at is not None
        delay_ms = frame.get("retry_delay_ms") if frame.get("subtype") == "api_retry" else None
        self._quiet_since = now + float(delay_ms or 0) / 1000

    def overdue(self, now: float) -> Timer | None:
        """The time-out that has passed at *now*, if any."""
        return next((timer for timer, at in self._deadlines() if now >= at), None)

    def next_deadline(self) -> float:
        return min(at for _, at in self._deadlines())

    def _deadlines(self) -> list[tuple[Timer, float]]:
        if self._held_since is not None:
            return [("connect", self._held_since + self.timers.ahead_s)]
        silence, patience = self._patience()
        if self.progress.hooks_in_flight:
            patience = max(patience, self.timers.hook_s)
        return [
            ("wall clock", self.started_at + self.timers.wall_clock_s),
            (silence, max(self.started_at, self._quiet_since) + patience),
        ]

    def _patience(self) -> tuple[Timer, float]:
        """What is waited for, and how long a silence it may be."""
        if self._prompted_at is None:
            return "connect", self.timers.connect_s
        if not self._heard:
            return "first frame", self.timers.first_frame_s
        idle, tool = self.timers.idle_s, self.timers.tool_s
        return "idle", max(idle, tool) if self.progress.tools_in_flight else idle
