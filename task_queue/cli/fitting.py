"""Which entries of several lists a screen of so many rows has room for: the most important lists first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """The rows that one list takes on the screen."""

    entries: tuple[int, ...]
    rank: int
    """The lower, the more important."""
    fixed: int = 0
    """Title and end of the list, wherever one entry is shown."""
    hidden: int = 0
    """How many entries the list has besides."""
    group: str | None = None
    """Lists of one group have a heading above the first that is shown."""
    heading: int = 0


def entries_shown(lists: Sequence[Extent], rows: int) -> list[int]:
    """How many entries of each list to show in *rows*; of an important one before any more of another.

    A list is shown with a line for what is not shown of it. The most important may fill a third of the screen, then
    each list gets one entry, and then the rest of the rows goes by rank.
    """
    shown = [0] * len(lists)

    def add(number: int) -> bool:
        shown[number] += 1
        if shown[number] <= len(lists[number].entries) and rows_of(lists, shown) <= rows:
            return True
        shown[number] -= 1
        return False

    by_rank = sorted(range(len(lists)), key=lambda number: lists[number].rank)
    first = [number for number in by_rank if lists[number].rank == lists[by_rank[0]].rank]
    _share(first, lambda number: rows_of(lists, shown) < rows // 3 and add(number))
    for number in by_rank:
        if not shown[number]:
            add(number)
    for rank in sorted({each.rank for each in lists}):
        _share(
            [number for number in by_rank if lists[number].rank == rank and shown[number]],
            lambda number: add(number) or _add_rest(lists, shown, number, rows),
        )
    return shown


def rows_of(lists: Sequence[Extent], shown: Sequence[int]) -> int:
    """All rows that *shown* entries of *lists* take."""
    headings: dict[str, int] = {}
    total = 0
    for each, number in zip(lists, shown, strict=True):
        if number:
            more = number < len(each.entries) or each.hidden > 0
            total += each.fixed + sum(each.entries[:number]) + more
            if each.group is not None:
                headings[each.group] = each.heading
    return total + sum(headings.values())


def _share(numbers: list[int], add: Callable[[int], bool]) -> None:
    """One entry to each in turn, until none has room for another."""
    while numbers:
        numbers = [number for number in numbers if add(number)]


def _add_rest(lists: Sequence[Extent], shown: list[int], number: int, rows: int) -> bool:
    """Show the whole list, if it fits without its line for what is not shown."""
    before, whole = shown[number], len(lists[number].entries)
    if before == whole:
        return False
    shown[number] = whole
    if rows_of(lists, shown) <= rows:
        return True
    shown[number] = before
    return False
