"""The lines of a patch in the words of their language: which part is a string, a comment, a name.

A program of its own does the work: a lexer may take for ever on a text that was written to that end. It says only
what each part is and how long, so that nothing that it says can change the text.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from task_queue.app.patch_view import PatchFile, PatchLine, Piece

_TAKES_S = 3.0
_MOST_CHARACTERS = 400_000
"""More of a patch is shown without."""
_PROGRAM = Path(__file__).with_name("lexing.py")

Side = list[PatchLine]
"""Lines of one hunk as they were, or as they are now."""


def highlight(files: Sequence[PatchFile], *, takes_s: float = _TAKES_S) -> None:
    """Fill in the pieces of each line whose language is known by the name of its file; none where it takes longer."""
    sides = list(_sides(files))
    if not sides:
        return
    asked = json.dumps([(path, "\n".join(_plain(line) for line in side)) for path, side in sides])
    command = [sys.executable, "-I", str(_PROGRAM)]
    try:
        done = subprocess.run(
            command, input=asked.encode(), env={}, capture_output=True, timeout=takes_s, check=True
        )
        answers: object = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return
    if isinstance(answers, list) and len(cast("list[object]", answers)) == len(sides):
        for (_, side), answer in zip(sides, cast("list[object]", answers), strict=True):
            _give(side, answer)


def _sides(files: Sequence[PatchFile]) -> Iterator[tuple[str, Side]]:
    left = _MOST_CHARACTERS
    for file in files:
        for hunk in _hunks(file):
            left -= sum(len(line.text) for line in hunk)
            if left < 0:
                return
            yield file.path, [line for line in hunk if line.kind in {"same", "removed"}]
            yield file.path, [line for line in hunk if line.kind in {"same", "added"}]


def _plain(line: PatchLine) -> str:
    """Of the same length. A lexer takes these characters out, or for the end of a line."""
    return line.text[1:].replace("\r", " ").replace("\ufeff", " ")


def _hunks(file: PatchFile) -> Iterator[list[PatchLine]]:
    hunk: list[PatchLine] = []
    for line in file.lines:
        if line.kind == "place":
            yield hunk
            hunk = []
        elif line.kind != "about" and not line.text.startswith("\\"):
            hunk.append(line)
    yield hunk


def _give(side: Side, answer: object) -> None:
    """*answer* has for each line its parts, as role and length; those of lines that it does not fit are left out."""
    if not isinstance(answer, list) or len(cast("list[object]", answer)) != len(side):
        return
    for line, parts in zip(side, cast("list[list[tuple[str, int]]]", answer), strict=True):
        pieces: list[Piece] = []
        at = 1
        for role, length in parts:
            pieces.append(Piece(role, line.text[at : at + length]))
            at += length
        if at == len(line.text):
            line.pieces = tuple(pieces)
