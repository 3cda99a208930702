"""How many commands that do nothing the queue carries out per second, durably, with few and with many waiting."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from benchmarks.measure import cpu_ms, machine, memory_mb, scratch, table
from tests.acceptance.rig import Rig
from tests.waiting import eventually

CASES = ((1, 10), (1, 200), (1, 10_000), (2, 200))
WINDOW_S = 10.0
_DOCUMENT = "---\nexecutor: noop\n---\nnothing\n"


def main() -> None:
    print(machine())
    rows = [_rate(sources, pending) for sources, pending in CASES]
    table(
        f"no-op commands, at most {WINDOW_S:.0f} s each",
        ("sources", "pending each", "first result s", "tasks/s", "daemon cpu ms/task", "daemon rss MB"),
        rows,
    )


def _rate(sources: int, pending: int) -> tuple[int, int, float, float, float, float]:
    names = [f"s{n}" for n in range(sources)]
    executors = {"noop": {"kind": "command", "argv": ["/bin/true"]}}
    with scratch(sources=names, executors=executors, sweep_seconds=30) as rig:
        for name in names:
            for number in range(pending):
                (rig.pending(name) / f"task-{number:06}.md").write_text(_DOCUMENT)
        began = time.perf_counter()
        pid = rig.start().pid
        eventually(lambda: _done(rig, names) > 0, timeout=60, what="a first result")
        first = time.perf_counter()
        spent, done = cpu_ms(pid), _done(rig, names)
        while time.perf_counter() - first < WINDOW_S and _done(rig, names) < sources * pending:
            threading.Event().wait(0.01)
        number, taken = _done(rig, names) - done, time.perf_counter() - first
        per_task = (cpu_ms(pid) - spent) / max(number, 1)
        return sources, pending, first - began, number / taken, per_task, memory_mb(pid)["Rss"]


def _done(rig: Rig, names: list[str]) -> int:
    folders: list[Path] = [rig.queue(name) / "completed" for name in names]
    return sum(sum(1 for _ in folder.iterdir()) for folder in folders if folder.is_dir())


if __name__ == "__main__":
    main()
