"""Writes what ``make bench`` found into docs/performance.md, and its pictures beside it: ``make bench-docs``.

A part that was not measured keeps the table that it has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.figures import FOLDER, Figure, Findings, read, row_of
from benchmarks.parts import PARTS
from benchmarks.peers import CALL, HAND_IN, JOBS, LIMIT, OF_DURABLE, OF_LIMIT
from benchmarks.plot import drawn

DOCS = Path(__file__).parents[1] / "docs"
_PAGE = DOCS / "performance.md"
_PLACE = "<!-- figures: {part} -->\n{text}<!-- end of figures -->\n"


def main() -> None:
    page = _PAGE.read_text()
    for part in PARTS:
        path = FOLDER / f"{part}.json"
        if not path.exists():
            continue
        found = read(path)
        page = with_figures(page, part, table_of(found))
        if (picture := drawn(found)) is not None:
            (DOCS / f"{part}.svg").write_text(picture)
    _PAGE.write_text(page)


def with_figures(page: str, part: str, text: str) -> str:
    """*page* with *text* in the place of *part*; as it is where it has no such place."""
    place = re.compile(
        re.escape(f"<!-- figures: {part} -->\n") + r".*?" + re.escape("<!-- end of figures -->\n"), re.DOTALL
    )
    return place.sub(lambda _: _PLACE.format(part=part, text=text), page)


def table_of(found: Findings) -> str:
    table = _peers(found) if found.part == "peers" else _plain(found)
    skipped = [f"- Not measured: {what}: {why}." for what, why in found.skipped.items()]
    return "\n".join(["", *table, "", f"Size {found.size}; {found.before}.", *_after(skipped), "", ""])


def _after(lines: Sequence[str]) -> Sequence[str]:
    return ["", *lines] if lines else []


def _plain(found: Findings) -> list[str]:
    rows = [f"| {' | '.join(_cells(figure))} |" for figure in found.figures]
    return ["| what | median | least to most | goal | met |", "|---|---|---|---|---|", *rows]


def _cells(figure: Figure) -> tuple[str, ...]:
    what, middle, least, most, number, goal, met = row_of(figure)
    return what, middle, "" if number == "1" else f"{least} to {most}, {number} times", goal, met


def _peers(found: Findings) -> list[str]:
    """A row for each queue, the quickest first."""
    by_name: Mapping[tuple[str, str], Figure] = {(each.measure, each.subject): each for each in found.figures}
    names = [figure.subject for figure in found.figures if figure.measure == JOBS]
    names.sort(key=lambda name: -by_name[OF_LIMIT, name].median)

    def cell(measure: str, subject: str) -> str:
        figure = by_name.get((measure, subject))
        if figure is None:
            return ""
        _, middle, least, most, *_, goal, met = row_of(figure)
        return f"{middle} ({least} to {most})" + (f"; goal {goal}: {met}" if goal else "")

    columns = (
        "",
        "jobs/s",
        "of the limit",
        "of durable publications",
        "call to start, ms",
        "handing in, ms",
        "promises",
    )
    rows = [
        (
            name,
            *(cell(measure, name) for measure in (JOBS, OF_LIMIT, OF_DURABLE)),
            cell(CALL, f"{name}, median"),
            cell(HAND_IN, name),
            "" if name == LIMIT else found.promises[name],
        )
        for name in names
    ]
    return [
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


if __name__ == "__main__":
    main()
