"""One deliberate breakage of the package."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """What to replace in which file, and the command that has to notice it."""

    name: str
    file: str
    old: str
    new: str
    noticed_by: tuple[str, ...]
