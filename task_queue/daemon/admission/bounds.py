"""How much may be used of what the sources share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from task_queue.config.schema import Config
from task_queue.domain.document.readers import PERIOD
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
    remote: frozenset[str] = frozenset()
    """Sources that workers serve: each of their tasks works in a checkout of its own, wherever that is."""
    unreviewed: int | None = None
    start_gap: timedelta | None = None
    caps: Caps = field(default_factory=Caps)
    workspaces: dict[str, str] = field(default_factory=dict[str, str])
    """Where the tasks of each source work that name no directory."""
    source_budgets: dict[str, float] = field(default_factory=dict[str, float])
    hours: dict[str, Hours] = field(default_factory=dict[str, Hours])


def bounds_of(config: Config) -> Bounds:
    return Bounds(
        places=config.limits.running,
        min_free_mb=config.limits.min_free_mb,
        starts_per_10min=config.limits.starts_per_10min,
        daily_budget_usd=config.limits.daily_budget_usd,
        hold_above_utilization=config.limits.hold_above_utilization,
        hold_below_priority=config.limits.hold_below_priority,
        unreviewed=config.limits.unreviewed,
        start_gap=PERIOD(config.limits.start_gap) if config.limits.start_gap else None,
        caps=Caps(config.limits.per_workspace, config.limits.per_repository),
        workspaces={
            source.id: str(workspace)
            for source in config.sources
            if (workspace := config.workspace_of(source)) is not None
        },
        folders={source.id: source.queue for source in config.sources},
        closed=frozenset(source.id for source in config.sources if source.paused),
        remote=frozenset(source.id for source in config.sources if source.is_remote),
        source_budgets={
            source.id: source.daily_budget_usd
            for source in config.sources
            if source.daily_budget_usd is not None
        },
        hours={source.id: source.hours for source in config.sources if source.hours is not None},
    )
