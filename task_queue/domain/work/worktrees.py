"""Which finished working trees are kept, and which may go. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Keep:
    """How many working trees stay, for how long, and in how much space; one that is beyond any of these may go."""

    number: int
    period: timedelta | None = None
    """Since a person or an attempt last worked in it; None: as long as the others allow."""
    size_bytes: int | None = None
    """Of all together, counted from the newest; None: as much as the others allow."""


@dataclass(frozen=True, slots=True)
class Idle:
    """One working tree."""

    directory: Path
    since: datetime
    """When a person or an attempt last worked in it."""
    size_bytes: int = 0


def overdue(trees: Iterable[Idle], keep: Keep, *, now: datetime) -> tuple[Idle, ...]:
    """Those that may go, the newest first."""
    newest_first = sorted(trees, key=lambda tree: tree.since, reverse=True)
    sizes = accumulate(tree.size_bytes for tree in newest_first)
    return tuple(
        tree
        for number, (tree, size) in enumerate(zip(newest_first, sizes, strict=True))
        if number >= keep.number
        or (keep.period is not None and now - tree.since >= keep.period)
        or (keep.size_bytes is not None and size > keep.size_bytes)
    )
