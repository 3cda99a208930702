"""How many commands that do nothing the queue carries out per second, durably, with 1, 2 and 8 sources."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from benchmarks.figures import Findings, Size, progress
from benchmarks.measure import cpu_ms, scratch
from benchmarks.parts import run_alone
from tests.acceptance.rig import Rig
from tests.waiting import eventually
from tests.warm import PROGRAM

_SOURCES = (1, 2, 8)
_ROUNDS = 3
_PENDING = {Size.SHORT: 200, Size.FULL: 2000}
"""Of all sources together."""
_WINDOW_S = {Size.SHORT: 5.0, Size.FULL: 20.0}
_DOCUMENT = "---\nexecutor: noop\n---\nnothing\n"


def measure(size: Size) -> Findings:
    found = Findings("throughput", size)
    for number in range(_ROUNDS):
        for sources in _SOURCES:
            subject = f"{sources} source{'s' if sources > 1 else ''}"
            progress(f"{subject}, round {number + 1} of {_ROUNDS}")
            rate, cpu = _rate(sources, _PENDING[size] // sources, _WINDOW_S[size])
            found.add("no-op commands per s", subject, rate)
            found.add("CPU of the daemon, ms per task", subject, cpu)
    return found


def _rate(sources: int, pending: int, window_s: float) -> tuple[float, float]:
    names = [f"s{n}" for n in range(sources)]
    executors = {"noop": {"kind": "command", "argv": ["/bin/true"]}}
    with scratch(sources=names, executors=executors, sweep_seconds=30) as rig:
        for name in names:
            for number in range(pending):
                (rig.pending(name) / f"task-{number:06}.md").write_text(_DOCUMENT)
        pid = rig.start(program=PROGRAM).pid
        eventually(lambda: _done(rig, names) > 0, timeout=60, what="a first result")
        first = time.perf_counter()
        spent, done = cpu_ms(pid), _done(rig, names)
        while time.perf_counter() - first < window_s and _done(rig, names) < sources * pending:
            threading.Event().wait(0.01)
        number, taken = _done(rig, names) - done, time.perf_counter() - first
        return number / taken, (cpu_ms(pid) - spent) / max(number, 1)


def _done(rig: Rig, names: list[str]) -> int:
    folders: list[Path] = [rig.queue(name) / "completed" for name in names]
    return sum(sum(1 for _ in folder.iterdir()) for folder in folders if folder.is_dir())


if __name__ == "__main__":
    run_alone("throughput")
