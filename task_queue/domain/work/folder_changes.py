"""Which files of a folder without git differ between two looks at it. Pure; their content is not compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Stamp = tuple[int, int, int]
"""Size in bytes, and when content and inode changed last, in nanoseconds since 1970."""

_MOST_RECORDED = 100
_CHANGES = ("new", "changed", "deleted")


@dataclass(frozen=True, slots=True)
class ChangedFile:
    path: str
    change: Literal["new", "changed", "deleted"]


@dataclass(frozen=True, slots=True)
class FolderChanges:
    """By path; has what ``git.changes.Changes`` has for an auditor and for a result."""

    paths: tuple[ChangedFile, ...]

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The first hundred paths as records."""
        return tuple({"path": file.path, "change": file.change} for file in self.paths[:_MOST_RECORDED])

    @property
    def summary(self) -> str:
        counts = [(sum(file.change == change for file in self.paths), change) for change in _CHANGES]
        told = ", ".join(f"{count} {change}" for count, change in counts if count)
        return f"files, by size and time: {told or 'no changes'}"

    @property
    def patch(self) -> str:
        """The first hundred paths: nothing says what was in them before."""
        return "".join(f"{file.change}: {file.path}\n" for file in self.paths[:_MOST_RECORDED])

    @property
    def cut(self) -> bool:
        return len(self.paths) > _MOST_RECORDED


def changes_between_looks(before: Mapping[str, Stamp], now: Mapping[str, Stamp]) -> FolderChanges:
    found: list[ChangedFile] = []
    for path in sorted({*before, *now}):
        if path not in before:
            found.append(ChangedFile(path, "new"))
        elif path not in now:
            found.append(ChangedFile(path, "deleted"))
        elif before[path] != now[path]:
            found.append(ChangedFile(path, "changed"))
    return FolderChanges(tuple(found))
