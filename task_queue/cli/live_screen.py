"""A screen that is drawn again and again: only lines that changed are written, and the terminal is given back."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Self

import click

_OPEN = "\x1b[?1049h\x1b[?25l\x1b[2J"
"""The alternate screen, so that what was there comes back; no cursor."""
_CLOSE = "\x1b[?25h\x1b[?1049l"
ScreenLine = tuple[str, int]
"""What a line says, colours included, and over how many rows the terminal wraps it."""


class LiveScreen:
    """Use as a context manager; ``draw`` as often as you like."""

    def __init__(self) -> None:
        self._drawn: dict[int, ScreenLine] = {}
        self._size = (0, 0)

    def __enter__(self) -> Self:
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGCONT, self._forget)
        _write(_OPEN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _write(_CLOSE)

    def draw(self, lines: Sequence[ScreenLine], *, columns: int, rows: int) -> None:
        """Show *lines* from the top; those beyond *rows* are left out."""
        if self._size != (columns, rows):
            self._forget()
            self._size = columns, rows
        placed: dict[int, ScreenLine] = {}
        row = 1
        for line in lines:
            if row + line[1] - 1 > rows:
                break
            placed[row] = line
            row += line[1]
        changed = [(at, line) for at, line in placed.items() if self._drawn.get(at) != line]
        ended = f"\x1b[{row};1H\x1b[J" if row <= rows and self._drawn.keys() - placed.keys() else ""
        text = "".join(_put(at, line) for at, line in changed) + ended
        if not self._drawn:
            text = f"\x1b[2J{text}"
        self._drawn = placed
        if text:
            _write(text)

    def _forget(self, _: int = 0, __: FrameType | None = None) -> None:
        """Draw everything again: the window changed, or another program wrote on it while we were stopped."""
        self._drawn = {}


def _put(row: int, line: ScreenLine) -> str:
    """Erased before it is written: after the last column, erasing would take the last character."""
    text, rows = line
    erased = "".join(f"\x1b[{row + number};1H\x1b[2K" for number in range(rows))
    return f"{erased}\x1b[{row};1H{text}"


def _write(text: str) -> None:
    click.echo(text, nl=False, color=True)
    sys.stdout.flush()


def _leave(_: int, __: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)
