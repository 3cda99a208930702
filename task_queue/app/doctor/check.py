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


@dataclass(frozen=True, slots=True)
class DoctorView:
    """Everything that ``doctor`` found, in the order in which it looked."""

    checks: tuple[DoctorCheck, ...]
    schema_version: int = 1

    @property
    def has_problem(self) -> bool:
        return any(check.level == "problem" for check in self.checks)
