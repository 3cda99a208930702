"""nq and task-spooler: one call a job, no worker, nothing kept for a machine that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Nq:
    name: str = "nq"
    promise: str = "a process a job, waiting for the one before; none survives a restart of the machine"
    starts_at_once: bool = True

    def why_not(self) -> str | None:
        return None if shutil.which("nq") else "nq is not installed: make bench-apt"

    @contextmanager
    def opened(self, folder: Path, job: Sequence[str]) -> Generator[_Calls]:
        jobs = folder / "jobs"
        jobs.mkdir()
        calls = _Calls(["nq", "-q", *job], {"NQDIR": str(jobs)})
        yield calls
        subprocess.run(["nq", "-w"], env=calls.environment, stdout=subprocess.DEVNULL, check=False)


@dataclass(frozen=True, slots=True)
class TaskSpooler:
    name: str = "task-spooler"
    promise: str = "a list in the memory of its server; none survives the server"
    starts_at_once: bool = True

    def why_not(self) -> str | None:
        return None if shutil.which("tsp") else "task-spooler is not installed: make bench-apt"

    @contextmanager
    def opened(self, folder: Path, job: Sequence[str]) -> Generator[_Calls]:
        calls = _Calls(["tsp", "-n", *job], {"TS_SOCKET": str(folder / "socket"), "TMPDIR": str(folder)})
        try:
            yield calls
        finally:
            subprocess.run(["tsp", "-K"], env=calls.environment, check=False)


@dataclass(slots=True)
class _Calls:
    argv: list[str]
    variables: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], **self.variables}

    def enqueue(self, number: int) -> None:
        for _ in range(number):
            subprocess.run(self.argv, env=self.environment, stdout=subprocess.DEVNULL, check=True)

    def work(self) -> None:
        """It has begun with the first call."""
