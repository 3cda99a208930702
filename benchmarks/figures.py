"""What a benchmark found: figures with the goal beside each, as a table and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.goals import Goal, goal_of
from benchmarks.measure import machine, table

FOLDER = Path(__file__).parents[1] / "build" / "bench"


class Size(StrEnum):
    """How long a benchmark may take."""

    SHORT = "short"
    """Seconds to a few minutes a part: what grows is measured up to a tenth of what the goals name, or less."""
    FULL = "full"
    """All that the goals name."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, as often as there are *values*, in turns with what it is compared to."""

    measure: str
    subject: str
    values: tuple[float, ...]
    unit: str = ""
    """``x`` is a ratio to what was measured in the same turn."""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def goal(self) -> Goal | None:
        return goal_of(self.measure, self.subject)

    @property
    def is_met(self) -> bool | None:
        """None where there is no goal."""
        return None if self.goal is None else self.goal.is_met_by(self.median)


@dataclass(slots=True)
class Findings:
    """All of one run of one part."""

    part: str
    size: Size
    figures: list[Figure] = field(default_factory=list[Figure])
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    """What could not be measured here, and why."""
    promises: dict[str, str] = field(default_factory=dict[str, str])
    """What each subject promises of a job that it said it has."""
    before: str = field(default_factory=machine)

    def add(self, measure: str, subject: str, values: Sequence[float] | float, unit: str = "") -> None:
        """Further *values* of what was measured before join the earlier ones."""
        given = (values,) if isinstance(values, int | float) else tuple(values)
        for place, known in enumerate(self.figures):
            if (known.measure, known.subject) == (measure, subject):
                self.figures[place] = replace(known, values=(*known.values, *given))
                return
        self.figures.append(Figure(measure, subject, given, unit))

    def add_rows(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A figure for each cell but the first of its row, which is the subject, in the words of its column."""
        for subject, *cells in rows:
            for column, cell in zip(columns[1:], cells, strict=True):
                self.add(f"{title}: {column}", f"{subject} {columns[0]}".strip(), float(str(cell)))

    def skip(self, what: str, why: str) -> None:
        self.skipped[what] = why
        progress(f"{what}: skipped, {why}")

    def show(self) -> None:
        rows = [row_of(figure) for figure in self.figures]
        table(f"{self.part}, {self.size}; {self.before}", COLUMNS, rows)
        for what, why in self.skipped.items():
            print(f"  skipped: {what}: {why}")

    def write(self, folder: Path = FOLDER) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.part}.json"
        figures = [
            {
                **asdict(figure),
                "median": figure.median,
                "goal": None if figure.goal is None else str(figure.goal),
                "is_met": figure.is_met,
            }
            for figure in self.figures
        ]
        content = {
            "part": self.part,
            "size": self.size,
            "machine": {"before": self.before, "after": machine()},
            "figures": figures,
            "skipped": self.skipped,
            "promises": self.promises,
        }
        path.write_text(json.dumps(content, indent=2) + "\n")
        return path


def read(path: Path) -> Findings:
    """What ``write`` left there."""
    content: Mapping[str, Any] = json.loads(path.read_text())
    figures = [
        Figure(each["measure"], each["subject"], tuple(each["values"]), each["unit"])
        for each in content["figures"]
    ]
    return Findings(
        content["part"],
        Size(content["size"]),
        figures,
        dict(content["skipped"]),
        dict(content["promises"]),
        content["machine"]["before"],
    )


COLUMNS = ("measure: subject", "median", "least", "most", "n", "goal", "met")


def row_of(figure: Figure) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "NO"}[figure.is_met]
    return (
        f"{figure.measure}: {figure.subject}",
        f"{_short(figure.median)} {figure.unit}".rstrip(),
        _short(min(figure.values)),
        _short(max(figure.values)),
        str(len(figure.values)),
        "" if figure.goal is None else str(figure.goal),
        met,
    )


def progress(text: str) -> None:
    print(f"  ... {text}", file=sys.stderr, flush=True)


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
