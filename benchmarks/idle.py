"""What an idle daemon costs, with few and with many sources."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from benchmarks.figures import Findings, Size, progress
from benchmarks.goals import QUEUE
from benchmarks.measure import children, cpu_ms, inotify_instances, memory_mb, scratch, threads
from benchmarks.parts import run_alone
from tests.waiting import eventually
from tests.warm import PROGRAM

_SOURCES = {Size.SHORT: (2, 50, 500), Size.FULL: (2, 50, 500, 2000)}
_WINDOW_S = {Size.SHORT: 30, Size.FULL: 120}
"""At least one whole sweep."""
_SETTLE_S = 5


def measure(size: Size) -> Findings:
    found = Findings("idle", size)
    memory: dict[int, float] = {}
    for number in _SOURCES[size]:
        progress(f"{number} sources")
        memory[number] = _idle(found, number, _WINDOW_S[size])
    fewest, most = min(memory), max(memory)
    found.add("memory per further source, MB", QUEUE, (memory[most] - memory[fewest]) / (most - fewest))
    return found


def _idle(found: Findings, number: int, window_s: int) -> float:
    names = [f"s{n:04}" for n in range(number)]
    with scratch(sources=names, sweep_seconds=30, settle_seconds=1) as rig:
        pid = rig.start(program=PROGRAM).pid
        eventually(
            lambda: all(s["watch"] == "events" for s in rig.state()["sources"].values()),
            what="all is watched",
        )
        rig.drop_command("task-warm", "true", source=names[0])
        rig.result("task-warm", source=names[0])
        threading.Event().wait(_SETTLE_S)
        template = children(pid)[0]
        before, template_before, woken = cpu_ms(pid), cpu_ms(template), _wake_ups(pid)
        threading.Event().wait(window_s)
        per_min, subject = 60 / window_s, f"{number} sources"
        memory = memory_mb(pid)["Rss"]
        found.add("idle CPU, ms per minute", subject, (cpu_ms(pid) - before) * per_min)
        found.add("wake-ups per s", subject, (_wake_ups(pid) - woken) / window_s)
        found.add("idle memory, MB", subject, memory)
        found.add("threads beyond one per source", subject, threads(pid) - number)
        found.add("inotify instances", subject, inotify_instances(pid))
        found.add(
            "template: idle CPU, ms per minute", subject, (cpu_ms(template) - template_before) * per_min
        )
        found.add("template: memory of its own, MB", subject, memory_mb(template)["Pss"])
        return memory


def _wake_ups(pid: int) -> int:
    """How often its threads have slept so far (proc(5), ``voluntary_ctxt_switches``)."""
    number = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            lines = (thread / "status").read_text().splitlines()
            number += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))
    return number


if __name__ == "__main__":
    run_alone("idle")
