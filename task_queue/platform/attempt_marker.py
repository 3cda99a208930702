"""Whether this process belongs to an attempt: the marker in its own environment, or in that of a process above it."""

from __future__ import annotations

import os
from pathlib import Path

from task_queue.platform.identity import MARKER_VARIABLE

_PROC = Path("/proc")
_MOST_ABOVE = 64


def marker_here() -> str | None:
    """The value of TASK_QUEUE_ATTEMPT; None where no process from here up to the first carries it.

    What starts a program for an agent may give it a few variables only; the agent's CLI above it still has the marker.
    """
    own = os.environ.get(MARKER_VARIABLE)
    if own is not None:
        return own
    pid = os.getppid()
    for _ in range(_MOST_ABOVE):
        if pid <= 1:
            return None
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
            # The name of the program, in parentheses, may hold anything.
            pid = int((_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            return None
        name = f"{MARKER_VARIABLE}=".encode()
        marker = next((each for each in environment if each.startswith(name)), None)
        if marker is not None:
            return os.fsdecode(marker[len(name) :])
    return None
