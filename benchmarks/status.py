"""How long ``status`` takes, beside importing click, piped and on a terminal, with little and with much.

All commands in turns, so that each sees the same load of the machine.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.figures import Findings, Size, progress
from benchmarks.measure import scratch
from benchmarks.parts import run_alone
from tests.acceptance.rig import Rig

_FINISHED = {Size.SHORT: 100_000, Size.FULL: 1_000_000}
_WAITING = {Size.SHORT: 10_000, Size.FULL: 100_000}
_RUNS = {Size.SHORT: 7, Size.FULL: 15}


def measure(size: Size) -> Findings:
    found = Findings("status", size)
    runs, finished, waiting = _RUNS[size], _FINISHED[size], _WAITING[size]
    with scratch(sources=("a", "b")) as rig:
        program = [sys.executable, "-m", "task_queue.cli", "--config", str(rig.config)]
        status = [*program, "status"]
        both = {"status": _piped(rig, status), "status, terminal": _on_a_terminal(rig, status)}
        rig.start()
        _take(
            found,
            rig,
            "2 sources, nothing waits",
            {
                "--help": _piped(rig, [*program, "--help"]),
                **both,
                "status --json": _piped(rig, [*status, "--json"]),
            },
            runs,
        )
        _fill(rig.queue() / "completed", finished)
        _take(found, rig, f"{finished:,} finished", {"status": _piped(rig, status)}, runs)
        for daemon in rig.daemons:
            rig.stop(daemon)
        for number in range(10):
            rig.drop_command(f"task-{number}", "true")
        _take(found, rig, "10 wait", both, runs)
        _fill(rig.pending("b"), waiting)
        _take(found, rig, f"{waiting:,} wait", {"status": _piped(rig, status)}, runs)
    return found


def _take(
    found: Findings, rig: Rig, subject: str, commands: Mapping[str, Callable[[], object]], runs: int
) -> None:
    progress(subject)
    click = _piped(rig, [sys.executable, "-c", "import click"])
    for _ in range(runs):
        base = _ms(click)
        for name, command in commands.items():
            taken = _ms(command)
            found.add(f"{name}, ms", subject, taken)
            found.add(f"{name}, to import click", subject, taken / base, "x")


def _ms(command: Callable[[], object]) -> float:
    began = time.perf_counter()
    command()
    return 1000 * (time.perf_counter() - began)


def _piped(rig: Rig, command: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run(
        command, env=rig.environment, cwd=rig.home, capture_output=True, check=False
    )


def _on_a_terminal(rig: Rig, command: list[str]) -> Callable[[], object]:
    def run() -> None:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(rig.home)
            os.execve(command[0], command, {**rig.environment, "TERM": "xterm-256color"})
        try:
            while os.read(terminal, 65536):
                pass
        except OSError:  # EIO: the command has ended
            pass
        os.close(terminal)
        os.waitpid(pid, 0)

    return run


def _fill(folder: Path, number: int) -> None:
    folder.mkdir(exist_ok=True)
    for place in range(number):
        (folder / f"task-{place:06}.md").write_text("# x\n")


if __name__ == "__main__":
    run_alone("status")
