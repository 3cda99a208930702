"""Whether what a workspace makes the agent execute is what its owner accepted. Pure: hashes in, differences out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Hashes = Mapping[str, str]
"""Path below the workspace -> sha256 of the content."""


@dataclass(frozen=True, slots=True)
class Difference:
    path: str
    what: Literal["added", "changed", "removed"]

    def __str__(self) -> str:
        return f"{self.path} was {self.what}"


def differences(accepted: Hashes, found: Hashes) -> tuple[Difference, ...]:
    """What became of the files since they were accepted, by path."""
    changes: list[Difference] = []
    for path in sorted({*accepted, *found}):
        if path not in accepted:
            changes.append(Difference(path, "added"))
        elif path not in found:
            changes.append(Difference(path, "removed"))
        elif accepted[path] != found[path]:
            changes.append(Difference(path, "changed"))
    return tuple(changes)
