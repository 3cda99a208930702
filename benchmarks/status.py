"""How long ``status`` takes, as a ratio to importing click, piped and on a terminal, with little and with much.

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
from statistics import median

from benchmarks.measure import machine, scratch, table
from tests.acceptance.rig import Rig

MANY = 100_000
RUNS = 15


def main() -> None:
    print(machine())
    with scratch(sources=("a", "b")) as rig:
        program = [sys.executable, "-m", "task_queue.cli", "--config", str(rig.config)]
        status = [*program, "status"]
        rig.start()
        _show(
            rig,
            "2 sources, nothing waits",
            {
                "--help": _piped(rig, [*program, "--help"]),
                "status": _piped(rig, status),
                "status, terminal": _on_a_terminal(rig, status),
                "status --json": _piped(rig, [*status, "--json"]),
            },
        )
        _fill(rig.queue() / "completed")
        _show(rig, f"{MANY:,} completed", {"status": _piped(rig, status)})
        for daemon in rig.daemons:
            rig.stop(daemon)
        for number in range(10):
            rig.drop_command(f"task-{number}", "true")
        _show(
            rig,
            "10 wait",
            {"status": _piped(rig, status), "status, terminal": _on_a_terminal(rig, status)},
        )
        _fill(rig.pending("b"))
        _show(rig, f"{MANY:,} wait", {"status": _piped(rig, status)})


def _show(rig: Rig, title: str, commands: Mapping[str, Callable[[], object]]) -> None:
    click = _piped(rig, [sys.executable, "-c", "import click"])
    every = {"import click": click, **commands}
    taken: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(RUNS):
        for name, command in every.items():
            began = time.perf_counter()
            command()
            taken[name].append(1000 * (time.perf_counter() - began))
    base = median(taken["import click"])
    rows = [(name, median(each), min(each), median(each) / base) for name, each in taken.items()]
    table(f"{title}: median of {RUNS}, in turns", ("", "ms", "fastest", "x import click"), rows)


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


def _fill(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(MANY):
        (folder / f"task-{number:06}.md").write_text("# x\n")


if __name__ == "__main__":
    main()
