"""A patch in parts that can be shown: by file, and by the kind of each line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MOST_LINES = 5_000
"""Of a file; the rest is counted."""
_HEAD = re.compile(r'^diff --git (?:"?a/)?(.*?)"? "?b/(.*?)"?$')


@dataclass(frozen=True, slots=True)
class PatchLine:
    """``kind``: ``added``, ``removed``, ``place`` (of a hunk), ``about`` (the file) or ``same``."""

    kind: str
    text: str


@dataclass(slots=True)
class PatchFile:
    """The lines that are shown of one file, and how many are not."""

    path: str
    lines: list[PatchLine] = field(default_factory=list[PatchLine])
    added: int = 0
    removed: int = 0
    hidden: int = 0


def files_of(patch: str) -> list[PatchFile]:
    """Of a patch as git writes it; what comes before its first file is left out."""
    files: list[PatchFile] = []
    in_hunk = False
    for line in patch.split("\n"):
        head = _HEAD.match(line) if line.startswith("diff --git ") else None
        if head is not None:
            files.append(PatchFile(head[2]))
            in_hunk = False
            continue
        if not files:
            continue
        in_hunk = in_hunk or line.startswith("@@")
        _add(files[-1], PatchLine(_kind(line, in_hunk=in_hunk), line))
    return files


def _add(file: PatchFile, line: PatchLine) -> None:
    file.added += line.kind == "added"
    file.removed += line.kind == "removed"
    if len(file.lines) < _MOST_LINES:
        file.lines.append(line)
    else:
        file.hidden += 1


def _kind(line: str, *, in_hunk: bool) -> str:
    if not in_hunk:
        return "about"
    return {"+": "added", "-": "removed", "@": "place"}.get(line[:1], "same")
