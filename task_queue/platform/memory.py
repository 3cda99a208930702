"""How much memory a tree of processes holds, and a guard that ends the tree below us when it is too much."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import psutil

from task_queue.platform import identity

_SAMPLE_EVERY_S = 1.0
_MB = 2**20


class MemoryGuard:
    """While it is entered, everything below this process is killed once it holds more than *limit_mb*."""

    def __init__(self, limit_mb: int | None, *, every_s: float = _SAMPLE_EVERY_S) -> None:
        self.exceeded: str | None = None
        """What was measured, once the limit was passed."""
        self._limit_mb = limit_mb
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Self:
        if self._limit_mb is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        if self._limit_mb is not None:
            self._thread.join()

    def _watch(self) -> None:
        assert self._limit_mb is not None
        while not self._over.wait(self._every_s):
            tree = identity.descendants(os.getpid())
            pids = [process.pid for process in tree]
            if self.exceeded is None and resident(pids) > self._limit_mb * _MB:
                held = proportional(pids)
                if held > self._limit_mb * _MB:
                    self.exceeded = f"{held // _MB} MB in {len(pids)} processes, limit {self._limit_mb} MB"
            if self.exceeded is not None:
                # Again at each look: what was started between two looks dies at the next.
                for process in tree:
                    identity.send(process, signal.SIGKILL)


def available() -> int:
    """Bytes that the machine has for more, without swapping."""
    return int(psutil.virtual_memory().available)


def resident(pids: Iterable[int]) -> int:
    """Bytes in memory; pages that several processes share are counted for each. Cheap."""
    return sum(_resident(pid) for pid in pids)


def proportional(pids: Iterable[int]) -> int:
    """Bytes in memory, shared pages divided among those that share them; walks every mapping."""
    return sum(_proportional(pid) for pid in pids)


def _resident(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _proportional(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_full_info().pss)
    return _resident(pid)
