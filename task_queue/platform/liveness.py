"""Whether a process lives that may work in another PID namespace, or on another machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from task_queue.platform.identity import ProcessIdentity, boot_id, is_alive
from task_queue.platform.lockfile import is_held


class Life(StrEnum):
    ALIVE = "alive"
    GONE = "gone"
    ELSEWHERE = "elsewhere"
    """It lives where its process id means nothing here."""
    UNKNOWN = "unknown"
    """It was started there, and nothing shows whether it lives."""


def life_of(process: ProcessIdentity, lock: Path) -> Life:
    """*lock* is the file that the process keeps locked for as long as it lives."""
    if process.is_in_sight:
        return Life.ALIVE if is_alive(process) else Life.GONE
    held = is_held(lock)
    if held is None:
        return Life.UNKNOWN if process.boot_id == boot_id() else Life.GONE
    return Life.ELSEWHERE if held else Life.GONE
