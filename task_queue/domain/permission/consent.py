"""Whether what a workspace makes the agent execute is what its owner accepted. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

Hashes = Mapping[str, str]
"""Path from the workspace -> sha256 of the content, or why there is none, which begins with ``UNKNOWN``."""

UNKNOWN = "cannot be compared: "

_MOST_LINES = 40
_MOST_COLUMNS = 160


@dataclass(frozen=True, slots=True)
class Difference:
    path: str
    what: Literal["added", "changed", "removed", "unknown"]
    why: str = ""
    """Of what is unknown."""

    def __str__(self) -> str:
        return f"{self.path} {self.why or f'was {self.what}'}"


def differences(accepted: Hashes, found: Hashes) -> tuple[Difference, ...]:
    """What became of the files since they were accepted, by path; what cannot be compared never counts as accepted."""
    changes: list[Difference] = []
    for path in sorted({*accepted, *found}):
        if found.get(path, "").startswith(UNKNOWN):
            changes.append(Difference(path, "unknown", found[path]))
        elif path not in accepted:
            changes.append(Difference(path, "added"))
        elif path not in found:
            changes.append(Difference(path, "removed"))
        elif accepted[path] != found[path]:
            changes.append(Difference(path, "changed"))
    return tuple(changes)


def comparable(found: Hashes) -> dict[str, str]:
    """What of *found* can be accepted."""
    return {path: hashed for path, hashed in found.items() if not hashed.startswith(UNKNOWN)}


def difference_in(path: str, accepted: str | None, found: str | None) -> tuple[str, ...]:
    """A short unified diff; None where there is no such file. Lines are foreign text, cut but not escaped."""
    before, after = ("" if text is None else text for text in (accepted, found))
    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        "/dev/null" if accepted is None else f"accepted/{path}",
        "/dev/null" if found is None else f"now/{path}",
        lineterm="",
        n=2,
    )
    return tuple(_cut(lines))


def _cut(lines: Iterator[str]) -> Iterator[str]:
    for line in islice(lines, _MOST_LINES):
        yield line if len(line) <= _MOST_COLUMNS else f"{line[:_MOST_COLUMNS]}… ({len(line)} characters)"
    more = sum(1 for _ in lines)
    if more:
        yield f"… and {more} more lines"
