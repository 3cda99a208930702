"""How much may be used of what the sources share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from task_queue.domain.hours import Hours
from task_queue.domain.together import Caps


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the configuration says; ``folders``, ``closed``, ``source_budgets`` and ``hours`` are by source."""

    places: int = 4
    min_free_mb: int = 0
    starts_per_10min: int = 20
    daily_budget_usd: float | None = None
    hold_above_utilization: float | None = None
    hold_below_priority: int | None = None
    folders: dict[str, Path] = field(default_factory=dict[str, Path])
    closed: frozenset[str] = frozenset()
    unreviewed: int | None = None
    start_gap: timedelta | None = None
    caps: Caps = field(default_factory=Caps)
    workspaces: dict[str, str] = field(default_factory=dict[str, str])
    """Where the tasks of each source work that name no directory."""
    source_budgets: dict[str, float] = field(default_factory=dict[str, float])
    hours: dict[str, Hours] = field(default_factory=dict[str, Hours])
