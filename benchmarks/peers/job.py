"""The job that every peer carries out: a shell that writes one byte into a pipe, which the benchmark waits at."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import NotInTimeError
from task_queue.platform.wakeup import readable

_WITHIN_S = 120.0


def run(argv: Sequence[str]) -> None:
    """What a worker written in Python does for one job."""
    subprocess.run(list(argv), check=True)


class Pipe:
    """Sees each job as it runs."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "pipe"
        os.mkfifo(self._path, 0o600)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self.seen = 0

    @property
    def job(self) -> list[str]:
        return ["/bin/sh", "-c", 'echo >"$0"', str(self._path)]

    def wait(self, number: int) -> float:
        """Until *number* jobs have run altogether; returns when the last of them was seen (``perf_counter``)."""
        deadline = time.monotonic() + _WITHIN_S
        while self.seen < number:
            if not readable(self._fd, timeout_s=max(0.0, deadline - time.monotonic())):
                raise NotInTimeError(f"{self.seen} of {number} jobs in {_WITHIN_S:.0f} s")
            self.seen += len(os.read(self._fd, number - self.seen))
        return time.perf_counter()

    def close(self) -> None:
        os.close(self._fd)
