"""A patch in parts that can be shown: by file, and by the kind of each line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MOST_LINES = 5_000
"""Of a file; the rest is counted."""
_MOST_LINES_OF_ALL = 20_000
_LONGEST_LINE = 2_000
"""In characters; the rest is counted."""
_SAME_NAME = re.compile(r'diff --git (?P<a>"?)a/(?P<name>.*)(?P=a) (?P=a)b/(?P=name)(?P=a)')
_NEW_NAMES = ("+++ ", "rename to ", "copy to ")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a line; ``role`` is what it is in its language, empty where that is not known."""

    role: str
    text: str


@dataclass(slots=True)
class PatchLine:
    """``kind``: ``added``, ``removed``, ``place`` (of a hunk), ``about`` (the file) or ``same``."""

    kind: str
    text: str
    hidden: int = 0
    """How many characters of it are not shown."""
    pieces: tuple[Piece, ...] = ()
    """All of ``text`` behind its first character; empty where nothing is known of its language."""


@dataclass(slots=True)
class PatchFile:
    """The lines that are shown of one file, and how many are not."""

    path: str
    lines: list[PatchLine] = field(default_factory=list[PatchLine])
    added: int = 0
    removed: int = 0
    hidden: int = 0


def files_of(patch: str) -> list[PatchFile]:
    """Of a patch as git writes it; what comes before its first file is left out.

    Of what is too long to be looked at, some is shown and the rest counted: of a line, of a file, of all files.
    """
    files: list[PatchFile] = []
    left = _MOST_LINES_OF_ALL
    in_hunk = False
    for line in patch.removesuffix("\n").split("\n"):
        if line.startswith("diff --git "):
            files.append(PatchFile(_path_in_head(line)))
            in_hunk = False
            continue
        if not files:
            continue
        in_hunk = in_hunk or line.startswith("@@")
        if not in_hunk:
            files[-1].path = _path_in(line) or files[-1].path
        left -= _add(files[-1], _line(_kind(line, in_hunk=in_hunk), line), room=left > 0)
    return files


def _add(file: PatchFile, line: PatchLine, *, room: bool) -> bool:
    """Whether it is shown."""
    file.added += line.kind == "added"
    file.removed += line.kind == "removed"
    is_shown = room and len(file.lines) < _MOST_LINES
    if is_shown:
        file.lines.append(line)
    else:
        file.hidden += 1
    return is_shown


def _line(kind: str, text: str) -> PatchLine:
    return PatchLine(kind, text[:_LONGEST_LINE], max(0, len(text) - _LONGEST_LINE))


def _kind(line: str, *, in_hunk: bool) -> str:
    if not in_hunk:
        return "about"
    return {"+": "added", "-": "removed", "@": "place"}.get(line[:1], "same")


def _path_in_head(line: str) -> str:
    """Where old and new name are the same; else the lines that follow say it."""
    same = _SAME_NAME.fullmatch(line)
    return (
        line.removeprefix("diff --git ")
        if same is None
        else _unquoted(f"{same['a']}{same['name']}{same['a']}")
    )


def _path_in(line: str) -> str:
    """The new name, where *line* of a file's head says it."""
    for words in _NEW_NAMES:
        if line.startswith(words) and line != "+++ /dev/null":
            name = _unquoted(line.removeprefix(words).rstrip("\t"))
            return name.removeprefix("b/") if words == "+++ " else name
    return ""


def _unquoted(name: str) -> str:
    """Git puts names with unusual characters between quotes, and writes these characters as C does."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    return _ESCAPE.sub(_meant, name[1:-1].encode()).decode(errors="replace")


def _meant(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    return bytes([int(code, 8) & 0xFF]) if len(code) == 3 else _ESCAPES.get(code, code)
