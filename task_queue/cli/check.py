"""What one check of ``doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    level: Level
    what: str
    fix: str | None = None
    details: tuple[str, ...] = ()
    """Shown as they are below it, made harmless; may be foreign text."""
