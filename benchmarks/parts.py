"""The parts of ``make bench``: each measures, shows its figures with their goals, and writes them down."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from benchmarks.figures import FOLDER, Findings, Size, progress
from benchmarks.goals import GOALS
from benchmarks.plot import drawn

PARTS = (
    *("peers", "latency", "agents", "throughput", "backlog", "status", "history", "commands", "idle"),
    *("door", "page", "set_up", "checkouts", "fleet", "ahead"),
)
"""Each is a module with ``measure``."""


def run(part: str, size: str = Size.SHORT) -> Findings:
    measure: Callable[[Size], Findings] = importlib.import_module(f"benchmarks.{part}").measure
    progress(f"{part}, {size}")
    found = measure(Size(size))
    found.show()
    path = found.write()
    if (picture := drawn(found)) is not None:
        path.with_suffix(".svg").write_text(picture)
    return found


def run_alone(part: str) -> None:
    """``python -m benchmarks.PART [short|full]``"""
    run(part, *sys.argv[1:])


def run_all(parts: Sequence[str], size: str) -> None:
    goals = [figure for part in parts for figure in run(part, size).figures if figure.goal is not None]
    met = sum(bool(figure.is_met) for figure in goals)
    print(f"\n{met} of {len(goals)} goals met; figures as JSON and pictures: {FOLDER}")
    if parts == PARTS:
        for measure, subject in GOALS.keys() - {(figure.measure, figure.subject) for figure in goals}:
            print(f"  not held against its goal at this size: {measure}: {subject}")
