"""The one place that knows the terminal: width, colours, and how foreign text is made harmless.

Every text is made printable here, and none is taken for markup. Colour never carries meaning alone; ids,
paths and commands are never cut. In a pipe or a file there is neither colour nor frame, and one fact stays
on one line however long it is, for ``grep`` (COLUMNS gives a width there, too). rich is imported when
something is laid out: help, JSON and log lines do without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import click

from task_queue.cli.answer_json import as_json
from task_queue.domain.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

Part: TypeAlias = "str | Text"
"""A string is foreign text for one line; what is a Text already is harmless."""

Renderable: TypeAlias = "RenderableType"
"""What ``show`` takes."""

_UNBOUNDED = 100_000
_READABLE = 30
"""A column of sentences that is narrower is better read below its row."""
_GAP = 2
_BAR = 10
_NEARLY_USED_UP = 0.8
_COLOURS = {
    "alive": "green",
    "completed": "green",
    "drained": "yellow",
    "draining": "yellow",
    "failed": "red",
    "gone": "red",
    "ok": "green",
    "paused": "yellow",
    "problem": "red",
    "running": "green",
    "serving": "green",
    "stopped": "red",
    "unavailable": "red",
    "unserved": "yellow",
    "warning": "yellow",
}


def say(text: object = "") -> None:
    """One line of the answer, as it stands."""
    click.echo(printable(str(text)))


def say_block(text: str) -> None:
    """Text that keeps its lines."""
    click.echo(printable(text, keep_lines=True))


def say_json(view: object, *, on_one_line: bool = False) -> None:
    """A view's keys as they stand, on many lines if not *on_one_line*."""
    click.echo(as_json(view, on_one_line=on_one_line))


def note(text: str) -> None:
    """One line of the conversation. Work goes on when the other end of the pipe has gone."""
    try:
        click.echo(printable(text), err=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def show(*things: Renderable) -> None:
    """Lay *things* out for the terminal at hand."""
    _print(_console(stderr=False), *things)


def show_error(message: str, hint: str | None) -> None:
    _print(_console(stderr=True), line(_styled("error:", "bold red"), " ", message))
    if hint:
        _print(_console(stderr=True), line(strong("hint:"), "  ", hint))


def show_traceback() -> None:
    """Of the exception that is being handled."""
    import traceback

    traceback.print_exc()


def strong(text: str) -> Text:
    return _styled(text, "bold")


def faint(text: str) -> Text:
    return _styled(text, "dim")


def word(text: str, *, width: int = 0) -> Text:
    """A state in its colour, on at least *width* columns."""
    return _styled(text.ljust(width), _COLOURS.get(text, ""))


def line(*parts: Part) -> Text:
    """One line that is neither wrapped nor cut."""
    joined = _styled("", "")
    for part in parts:
        joined.append_text(_text(part))
    joined.no_wrap = True
    joined.overflow = "ignore"
    return joined


def glance(*parts: Part) -> Text:
    """One line of which a terminal shows what fits."""
    joined = line(*parts)
    joined.overflow = "ellipsis"
    return joined


def item(label: Part, body: Part, *, indent: int = 0, column: int = 0) -> Text:
    """*label* on at least *column* columns, beside it *body* over as many lines as it needs."""
    head = line(" " * indent, label)
    head.append(" " * max(0, indent + column - head.cell_len))
    if head.cell_len:
        head.append(" " * _GAP)
    return _hanging(head, body)


def paragraph(body: Part, *, indent: int = 0) -> Text:
    """A sentence over as many lines as it needs; words (ids, paths) are never broken."""
    return _hanging(line(" " * indent), body)


def stacked(lines: Sequence[Text]) -> Text:
    """Several lines as one thing, which is shown whole or not at all."""
    return _joined(lines)


def block(text: str, *, indent: int = 0, cut: bool = False) -> Text:
    """Foreign text that keeps its lines; *cut*: a terminal shows of each what fits."""
    lines = printable(text, keep_lines=True).expandtabs().splitlines()
    whole = _indented(lines, indent)
    whole.no_wrap = True
    whole.overflow = "ellipsis" if cut else "ignore"
    return whole


def table(
    rows: Sequence[Sequence[Part]],
    *,
    head: Sequence[str] = (),
    lead: int = 1,
    numbers: int = 0,
    indent: int = 0,
) -> Renderable:
    """Columns as wide as they need; the last *numbers* are figures.

    Where a terminal is too narrow, the last column wraps; if that is not enough, only the first *lead*
    columns stay side by side and the others go below. A table that is all lead is never broken up.
    """
    return _joined(table_rows(rows, head=head, lead=lead, numbers=numbers, indent=indent))


def table_rows(
    rows: Sequence[Sequence[Part]],
    *,
    head: Sequence[str] = (),
    lead: int = 1,
    numbers: int = 0,
    indent: int = 0,
) -> list[Text]:
    """The rows of a table, each for itself; the first is that of its *head*, if it has one."""
    cells = [[_text(part) for part in row] for row in rows]
    columns = len(head) or len(cells[0])
    widths = _widths(cells, [len(title) for title in head] or [0] * columns, wraps=lead < columns)
    if indent + sum(widths) + _GAP * (columns - 1) > _width() and lead < columns:
        return [_stacked(row, lead=lead, indent=indent) for row in cells]
    titled = [[strong(title) for title in head], *cells] if head else cells
    return [_beside(row, widths, numbers=numbers, indent=indent) for row in titled]


def notice(title: str) -> tuple[Renderable, Renderable | None]:
    """The lines above and below what a person must not overlook; in a pipe there is none below."""
    if not on_terminal():
        return strong(title), None
    top = _joined([line(_styled("─ ", "yellow"), strong(title), " ")])
    top.append("─" * max(0, _width() - top.cell_len), "yellow")
    return top, _styled("─" * _width(), "yellow")


def bullet(sentence: str) -> Text:
    """One of several sentences."""
    return _hanging(line(" - " if on_terminal() else "- "), sentence)


def bars(shares: Mapping[str, float], *, indent: int = 0) -> Text:
    """A bar with its name for each share of a limit, 0 to 1 and more, side by side as far as there is room."""
    full, empty = ("█", "░") if "utf" in (sys.stdout.encoding or "").lower() else ("#", "-")
    drawn: list[Text] = []
    for name, share in shares.items():
        filled = min(_BAR, int(share * _BAR))
        colour = "yellow" if share >= _NEARLY_USED_UP else "green"
        bar = _styled(full * filled, colour)
        drawn.append(line(f"{name} ", bar, faint(empty * (_BAR - filled)), f" {share:.0%}".ljust(5)))
    lines: list[Text] = []
    for each in drawn:
        if lines and lines[-1].cell_len + _GAP + each.cell_len <= _width():
            lines[-1].append(" " * _GAP).append_text(each)
        else:
            lines.append(line(" " * indent, each))
    return _joined(lines)


def on_terminal() -> bool:
    return _console(stderr=False).is_terminal


def size() -> tuple[int, int]:
    """Columns and rows of the terminal, as they are now."""
    found = _console(stderr=False).size
    return found.width, found.height


def laid_out(*things: Renderable) -> list[tuple[str, int]]:
    """The lines of *things*, colours included, each with the number of rows over which the terminal wraps it."""
    from rich.text import Text

    lines = _captured(_console(stderr=False), *things)
    return [(each, max(1, -(-Text.from_ansi(each).cell_len // _width()))) for each in lines]


@cache
def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    bounded = stream.isatty() or "COLUMNS" in os.environ
    return Console(
        stderr=stderr, width=None if bounded else _UNBOUNDED, markup=False, emoji=False, highlight=False
    )


def _print(console: Console, *things: Renderable) -> None:
    """By way of click, which keeps the order with plain lines, and lets ``edge`` see a reader that has gone."""
    text = "".join(f"{each}\n" for each in _captured(console, *things))
    click.echo(text, nl=False, err=console.stderr, color=True)


def _captured(console: Console, *things: Renderable) -> list[str]:
    """The lines of *things*, without the space at their ends."""
    from rich.text import Text

    with console.capture() as captured:
        for thing in things:
            # A Text is copied without these two, so they are said again.
            overflow = thing.overflow if isinstance(thing, Text) else None
            console.print(thing, crop=False, no_wrap=True, overflow=overflow)
    lines = captured.get().split("\n")
    return [each.rstrip() for each in lines[:-1]]


def _width() -> int:
    return _console(stderr=False).width


def _widths(cells: list[list[Text]], widths: list[int], *, wraps: bool) -> list[int]:
    """What each column needs."""
    for row in cells:
        for number, cell in enumerate(row):
            needs = cell.cell_len
            if wraps and number == len(row) - 1:
                longest_word = max(map(len, cell.plain.split()), default=0)
                needs = max(longest_word, min(needs, _READABLE))
            widths[number] = max(widths[number], needs)
    return widths


def _beside(row: list[Text], widths: list[int], *, numbers: int, indent: int) -> Text:
    before = line(" " * indent)
    for number, cell in enumerate(row):
        space = " " * (widths[number] - cell.cell_len)
        is_number = number >= len(row) - numbers
        shown = line(space, cell) if is_number else cell
        if number == len(row) - 1:
            return _hanging(before, shown) if not is_number else line(before, shown)
        before = line(before, shown, "" if is_number else space, " " * _GAP)
    return before


def _stacked(row: list[Text], *, lead: int, indent: int) -> Text:
    """The first *lead* columns in one line, the others each in lines of its own under the last of those."""
    before = [part for each in row[: lead - 1] for part in (each, line(" " * _GAP))]
    first = line(" " * indent, *before, row[lead - 1])
    below = line(" " * (first.cell_len - row[lead - 1].cell_len + _GAP))
    return _joined([first, *(_hanging(below, part) for part in row[lead:] if part)])


def _hanging(head: Text, body: Part, *, margin: int = 0) -> Text:
    """*body* beside *head* and then under itself; *margin* columns stay free."""
    room = max(_READABLE, _width() - head.cell_len - margin)
    lines = [head.copy()]
    for each in _text(body).split(" "):
        begun = lines[-1].cell_len > head.cell_len
        if begun and lines[-1].cell_len + 1 + each.cell_len > head.cell_len + room:
            lines.append(line(" " * head.cell_len))
        elif begun:
            lines[-1].append(" ")
        lines[-1].append_text(each)
    return _joined(lines)


def _indented(lines: Sequence[str], indent: int) -> Text:
    from rich.text import Text

    return Text("\n".join(" " * indent + each for each in lines))


def _joined(lines: Sequence[Text]) -> Text:
    from rich.text import Text

    return line(Text("\n").join(lines))


def _text(part: Part) -> Text:
    return _styled(part, "") if isinstance(part, str) else part


def _styled(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(printable(text), style)
