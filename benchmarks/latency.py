"""From a rename into ``pending/`` to the lock, on an idle queue; and what importing costs."""

from __future__ import annotations

import ctypes
import os
import statistics
import sys
import time
from pathlib import Path

from benchmarks.figures import Findings, Size, progress
from benchmarks.measure import median_run_ms, quantile, scratch
from benchmarks.parts import run_alone

_DROPS = {Size.SHORT: 50, Size.FULL: 200}
_ROUNDS = 3
_IN_CREATE = 0x100


def measure(size: Size) -> Findings:
    found = Findings("latency", size)
    for number in range(_ROUNDS):
        progress(f"drops, round {number + 1} of {_ROUNDS}")
        taken = _drop_to_lock(_DROPS[size])
        found.add("rename to lock, ms", "median", statistics.median(taken))
        found.add("rename to lock, ms", "p90", quantile(taken, 0.9))
        found.add("rename to lock, ms", "p99", quantile(taken, 0.99))
    _imports(found)
    return found


def _drop_to_lock(drops: int) -> list[float]:
    """One no-op task at a time; an inotify watch of the benchmark sees the lock."""
    with scratch() as rig:
        rig.start()
        rig.drop_command("task-warm", "true")
        rig.result("task-warm")
        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(os.O_CLOEXEC)
        libc.inotify_add_watch(watch, os.fsencode(rig.pending()), _IN_CREATE)
        taken: list[float] = []
        for number in range(drops):
            name = f"task-{number:04}"
            lock = f".{name}.lock\0".encode()
            draft = rig.queue() / "staging" / f"{name}.md"
            draft.write_text("---\nexecutor: sh\n---\ntrue\n")
            began = time.perf_counter()
            draft.rename(rig.pending() / f"{name}.md")
            while lock not in os.read(watch, 65536):
                pass
            taken.append(1000 * (time.perf_counter() - began))
            rig.result(name)
        os.close(watch)
    return taken


def _imports(found: Findings) -> None:
    """The SDK is paid once per daemon, in the template."""
    programs = {
        "nothing": "pass",
        "click": "import click",
        "task_queue.cli": "import task_queue.cli",
        "pydantic": "from pydantic import BaseModel",
        "task_queue.daemon.process": "import task_queue.daemon.process",
        "claude_agent_sdk": "import claude_agent_sdk",
    }
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1])}
    for name, program in programs.items():
        command = [sys.executable, "-c", program]
        for _ in range(_ROUNDS):
            found.add("python -c import, ms", name, median_run_ms(command, environment, Path.cwd(), runs=3))


if __name__ == "__main__":
    run_alone("latency")
