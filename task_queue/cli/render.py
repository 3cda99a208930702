"""The one place that knows the terminal: width, colours, and how foreign text is made harmless.

Colour never carries meaning alone. Without a terminal the output is plain and 80 columns wide; ids and
paths are never cut. Deliberately not rich: its import would cost ``status`` a fifth of its time.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from task_queue.domain.text import printable

_PLAIN_WIDTH = 80
_COLOURS: Mapping[str, str] = {
    "alive": "green",
    "completed": "green",
    "failed": "red",
    "gone": "red",
    "paused": "yellow",
    "running": "green",
    "serving": "green",
    "stopped": "red",
    "unavailable": "red",
    "unserved": "yellow",
}


def width() -> int:
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else _PLAIN_WIDTH


def say(line: str = "") -> None:
    """One line of the answer. *line* must be harmless already: see ``safe``."""
    click.echo(line)


def note(line: str) -> None:
    """One line of the conversation."""
    click.echo(printable(line), err=True)


def safe(value: object) -> str:
    """Foreign text on one line."""
    return printable(str(value))


def safe_block(text: str) -> str:
    """Foreign text that keeps its lines."""
    return printable(text, keep_lines=True)


def strong(text: str) -> str:
    return click.style(text, bold=True)


def faint(text: str) -> str:
    return click.style(text, dim=True)


def word(text: str) -> str:
    """A state, in its colour."""
    return click.style(text, fg=_COLOURS.get(text))


def show_error(message: str, hint: str | None) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(message)}", err=True)
    if hint:
        click.echo(f"{click.style('hint:', bold=True)}  {printable(hint)}", err=True)


def cells(text: str) -> int:
    """Columns that *text* takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def shortened(text: str, columns: int) -> str:
    """*text* in at most *columns*, with an ellipsis where something is missing."""
    if cells(text) <= columns:
        return text
    kept = ""
    for char in text:
        if cells(kept + char) >= columns:
            break
        kept += char
    return kept.rstrip() + "…"


def table(rows: Iterable[tuple[str, ...]], *, indent: int = 0) -> list[str]:
    """Columns as wide as they need; the last one is cut at the terminal's width."""
    kept = [tuple(row) for row in rows]
    if not kept:
        return []
    widths = [max(cells(row[column]) for row in kept) for column in range(len(kept[0]) - 1)]
    room = max(10, width() - indent - sum(widths) - 2 * len(widths))
    lines: list[str] = []
    for row in kept:
        padded = [text + " " * (columns - cells(text)) for text, columns in zip(row, widths, strict=False)]
        lines.append((" " * indent + "  ".join([*padded, shortened(row[-1], room)])).rstrip())
    return lines


def wrapped(text: str, *, indent: int, hanging: int | None = None) -> list[str]:
    """A sentence over as many lines as it needs; words (ids, paths) are never broken."""
    import textwrap

    return textwrap.wrap(
        text,
        width(),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent if hanging is None else hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )


def span(seconds: float) -> str:
    """How long, in at most two units."""
    whole = int(max(0, seconds))
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest and unit != "min" else "")
    return f"{whole} s"


def moment(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else "-"


def money(usd: float | None, *, estimated: float = 0.0) -> str:
    """*estimated* is how much of it is not known for sure."""
    if usd is None:
        return "-"
    if not estimated:
        return f"${usd:.2f}"
    return f"${usd:.2f} (estimated)" if estimated >= usd else f"${usd:.2f} (${estimated:.2f} of it estimated)"


def as_json(view: Any) -> str:
    """A view's keys as they stand. Everything beyond ASCII is escaped, so no control character gets through."""
    content = asdict(view) if is_dataclass(view) and not isinstance(view, type) else view
    return json.dumps(content, indent=2, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")
