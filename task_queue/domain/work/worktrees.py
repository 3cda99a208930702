"""Which finished working trees are kept, and which may go. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Keep:
    """How many working trees stay, and for how long; one that is beyond either may go."""

    number: int
    period: timedelta | None = None
    """Since a person or an attempt last worked in it; None: as long as the number allows."""


@dataclass(frozen=True, slots=True)
class Idle:
    """One working tree."""

    directory: Path
    since: datetime
    """When a person or an attempt last worked in it."""


def overdue(trees: Iterable[Idle], keep: Keep, *, now: datetime) -> tuple[Idle, ...]:
    """Those that may go, the newest first."""
    newest_first = sorted(trees, key=lambda tree: tree.since, reverse=True)
    return tuple(
        tree
        for number, tree in enumerate(newest_first)
        if number >= keep.number or (keep.period is not None and now - tree.since >= keep.period)
    )
