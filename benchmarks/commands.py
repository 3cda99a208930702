"""How soon each command answers ``--help``, in turns with importing click: what is loaded before it does anything."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

import click

from benchmarks.figures import Findings, Size, progress
from benchmarks.measure import scratch
from benchmarks.parts import run_alone
from task_queue.cli.commands import cli

_SLOWEST = 5
_RUNS = {Size.SHORT: 3, Size.FULL: 9}


def measure(size: Size) -> Findings:
    found = Findings("commands", size)
    every = sorted(_below(cli, ()))
    taken: dict[str, list[float]] = {}
    with scratch() as rig:
        for turn in range(_RUNS[size]):
            progress(f"{len(every)} commands, round {turn + 1} of {_RUNS[size]}")
            for words in every:
                base = _ms([sys.executable, "-c", "import click"], rig.environment)
                whole = _ms([sys.executable, "-m", "task_queue.cli", *words, "--help"], rig.environment)
                taken.setdefault(" ".join(("task-queue", *words)), []).append(whole / base)
    slowest = sorted(taken, key=lambda name: -median(taken[name]))[:_SLOWEST]
    found.add("--help, to import click", f"all {len(every)} commands", list(map(median, taken.values())), "x")
    for name in slowest:
        found.add("--help, to import click", name, taken[name], "x")
    return found


def _below(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _below(found, (*words, name))


def _ms(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, capture_output=True, check=True)
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    run_alone("commands")
