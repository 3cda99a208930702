"""What an idle daemon costs, with few and with many sources."""

from __future__ import annotations

import threading

from benchmarks.measure import (
    children,
    cpu_ms,
    inotify_instances,
    machine,
    memory_mb,
    scratch,
    table,
    threads,
)
from tests.waiting import eventually

SOURCES = (2, 200, 500)
SETTLE_S = 5
WINDOW_S = 30
"""One whole sweep."""


def main() -> None:
    print(machine())
    rows = [_idle(number) for number in SOURCES]
    columns = (
        "sources",
        "rss MB",
        "pss MB",
        "template pss MB",
        "cpu ms/min",
        "template",
        "threads",
        "inotify",
    )
    table(f"idle for {WINDOW_S} s, sweep every 30 s", columns, rows)
    per_source = (rows[-1][1] - rows[0][1]) / (SOURCES[-1] - SOURCES[0])
    print(f"  {per_source:.3f} MB per further source")


def _idle(number: int) -> tuple[int, float, float, float, float, float, int, int]:
    names = [f"s{n:03}" for n in range(number)]
    with scratch(sources=names, sweep_seconds=30, settle_seconds=1) as rig:
        pid = rig.start().pid
        eventually(
            lambda: all(s["watch"] == "events" for s in rig.state()["sources"].values()),
            what="all is watched",
        )
        rig.drop_command("task-warm", "true", source=names[0])
        rig.result("task-warm", source=names[0])
        threading.Event().wait(SETTLE_S)
        template = children(pid)[0]
        before, template_before = cpu_ms(pid), cpu_ms(template)
        threading.Event().wait(WINDOW_S)
        per_min = 60 / WINDOW_S
        memory = memory_mb(pid)
        return (
            number,
            memory["Rss"],
            memory["Pss"],
            memory_mb(template)["Pss"],
            (cpu_ms(pid) - before) * per_min,
            (cpu_ms(template) - template_before) * per_min,
            threads(pid),
            inotify_instances(pid),
        )


if __name__ == "__main__":
    main()
