"""Looking at the machine's processes, any of which may end between two looks."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def environments() -> Iterator[tuple[int, list[bytes]]]:
    """Pid and ``NAME=value`` lines of every live process that we may look into; zombies are not alive."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and runs(int(entry.name)):
            lines = look(int(entry.name), "environ").split(b"\0")
            if lines != [b""]:
                yield int(entry.name), lines


def state_of(pid: int) -> str:
    """The letter of proc(5); empty where there is no such process."""
    return next(iter(_stat(pid)), "")


def runs(pid: int) -> bool:
    """Whether it is alive. A zombie has ended: how soon an orphan's is collected is up to the first process."""
    return state_of(pid) not in {"", "Z", "X"}


def age_order(pid: int) -> float:
    """Smaller for a process that began earlier; one that has ended comes last."""
    fields = _stat(pid)
    return float(fields[19]) if fields else math.inf


def children_of(pid: int) -> list[int]:
    """Live processes that *pid* has started, and the orphans that came to it."""
    everyone = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [one for one in everyone if _stat(one)[1:2] == [str(pid)] and runs(one)]


def look(pid: int, what: str) -> bytes:
    """One of its files below /proc; empty where it has ended, or is not ours to see."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def waits_ended(pid: int) -> int:
    """How often any thread of the process that it has now was woken from a wait."""
    lines = [
        line
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
    ]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))


def kill(pid: int) -> None:
    """Kill it, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str]:
    """The fields of ``stat`` behind the command's name."""
    return look(pid, "stat").decode(errors="replace").rpartition(")")[2].split()
