"""What the benchmarks share: a scratch machine, figures of a process, a table.

Run one with ``python -m benchmarks.latency`` from the project's root. Absolute figures move with the machine;
compare the ratios, which are taken side by side in one run.
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.rig import Rig


class NotInTimeError(Exception):
    """What is measured did not happen within its time."""


@contextmanager
def scratch(*, sources: Sequence[str] = ("a",), **config: Any) -> Iterator[Rig]:
    """The real daemon's surroundings, gone with everything in them afterwards."""
    with tempfile.TemporaryDirectory(prefix="task-queue-bench-") as folder:
        rig = Rig(Path(folder) / "home", sources=tuple(sources), **config)
        try:
            yield rig
        finally:
            rig.close()


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print *rows*; numbers right, words left."""
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    print(f"\n{title}")
    for row in cells:
        padded = (
            c.ljust(w) if n == 0 else c.rjust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join(padded).rstrip())
    sys.stdout.flush()


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median_run_ms(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path, *, runs: int = 5
) -> float:
    """Median wall clock of starting and ending *command*."""
    taken: list[float] = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, env=dict(environment), cwd=cwd, capture_output=True, check=False)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def cpu_ms(pid: int) -> float:
    """CPU time of *pid* so far, with that of its threads that have ended."""
    return 1000 * time.clock_gettime(_clock_of(pid))


def _clock_of(pid: int) -> int:
    """As clock_getcpuclockid(3) makes it, which Python does not have."""
    return (~pid << 3) | 2


def memory_mb(pid: int) -> dict[str, float]:
    """Rss and Pss; what a forked process shares with its parent counts half in the latter."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {key: int(re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE)[1]) / 1024 for key in ("Rss", "Pss")}  # type: ignore[index]  # both are always there


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return found


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def inotify_instances(pid: int) -> int:
    number = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            number += "inotify" in str(fd.readlink())
    return number


def machine() -> str:
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, python {sys.version.split()[0]}"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
