"""A screen made of lists. On a terminal they are cut to its height, each with what is not shown of it as a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from task_queue.cli import render
from task_queue.cli.fitting import Extent, entries_shown, rows_of
from task_queue.cli.render import Renderable, faint, line

_PROMPT = 1
"""Rows that the shell needs below the answer."""


@dataclass(eq=False, slots=True)
class Listing:
    """One list of a screen; shown only if it has entries."""

    entries: Sequence[Renderable]
    rank: int
    """The lower, the more important: less of it is cut."""
    head: Sequence[Renderable] = ()
    foot: Sequence[Renderable] = ()
    hidden: int = 0
    """How many there are besides *entries*."""
    more: str = "and {} more"
    """What to say of those that are not shown."""
    indent: int = 0
    group: str | None = None
    """Lists of one group have its name above the first of them."""


def show(listings: Iterable[Listing], *, whole: bool, command: str) -> None:
    """Once. Cut to a terminal's height, unless it is to be *whole*; *command* shows all of it in a pipe."""
    lists = [each for each in listings if each.entries]
    if whole or not render.on_terminal():
        render.show(*_things(lists, [len(each.entries) for each in lists]))
        return
    _, rows = render.size()
    render.show(*_cut(lists, rows - _PROMPT, f"cut to this terminal; all of it: {command} | less"))


def lines_for(listings: Iterable[Listing], *, rows: int) -> list[tuple[str, int]]:
    """The lines of a screen that has at most *rows*, as ``render.laid_out`` gives them."""
    lists = [each for each in listings if each.entries]
    return render.laid_out(*_cut(lists, rows, f"cut to {rows} rows"))


def _cut(lists: list[Listing], rows: int, remark: str) -> Iterator[Renderable]:
    extents = [_extent(each) for each in lists]
    shown = [len(each.entries) for each in lists]
    if rows_of(extents, shown) <= rows:
        yield from _things(lists, shown)
        return
    yield from _things(lists, entries_shown(extents, rows - 1))
    yield render.glance(faint(remark))


def _extent(listing: Listing) -> Extent:
    return Extent(
        entries=tuple(map(_rows, listing.entries)),
        rank=listing.rank,
        fixed=sum(map(_rows, (*listing.head, *listing.foot))),
        hidden=listing.hidden,
        group=listing.group,
        heading=_rows(*_heading(listing.group)) if listing.group is not None else 0,
    )


def _rows(*things: Renderable) -> int:
    return sum(rows for _, rows in render.laid_out(*things))


def _heading(group: str) -> tuple[Renderable, ...]:
    return line(), line(render.strong(group))


def _things(lists: Iterable[Listing], shown: Iterable[int]) -> Iterator[Renderable]:
    group = None
    for each, number in zip(lists, shown, strict=True):
        if not number:
            continue
        if each.group is not None and each.group != group:
            yield from _heading(each.group)
        group = each.group
        yield from each.head
        yield from each.entries[:number]
        left = len(each.entries) - number + each.hidden
        if left:
            yield line(" " * each.indent, faint(each.more.format(f"{left:,}")))
        yield from each.foot
