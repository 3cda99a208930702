"""How long ``status`` takes, as a ratio to importing click, with little and with much in the folders."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measure import machine, median_run_ms, scratch, table

MANY = 100_000


def main() -> None:
    print(machine())
    with scratch(sources=("a", "b")) as rig:
        program = [sys.executable, "-m", "task_queue.cli", "--config", str(rig.config)]
        rig.start()

        def timed(name: str, command: list[str]) -> tuple[str, float, float]:
            click = median_run_ms([sys.executable, "-c", "import click"], rig.environment, rig.home)
            taken = median_run_ms(command, rig.environment, rig.home)
            return name, taken, taken / click

        rows = [
            ("import click", timed("", [sys.executable, "-c", "import click"])[1], 1.0),
            timed("--help", [*program, "--help"]),
            timed("status, 2 sources", [*program, "status"]),
            timed("status --json", [*program, "status", "--json"]),
        ]
        _fill(rig.queue() / "completed")
        rows.append(timed(f"status, {MANY:,} completed", [*program, "status"]))
        for daemon in rig.daemons:
            rig.stop(daemon)
        _fill(rig.pending("b"))
        rows.append(timed(f"status, also {MANY:,} pending", [*program, "status"]))
    table("median of 7", ("", "ms", "x import click"), rows)


def _fill(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(MANY):
        (folder / f"task-{number:06}.md").write_text("# x\n")


if __name__ == "__main__":
    main()
