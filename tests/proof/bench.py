"""A scratch queue whose daemon runs under the tracer, and the daemons that come after it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.rig import ROOT, Rig
from tests.proof.checker import Dropped, Expected, marked_processes, problems_of
from tests.waiting import eventually

LIMIT_S = 60.0
TASK = "task-a"
ACT = 'echo "$TASK_QUEUE_ATTEMPT" >> effects'
"""What a task does to the world, for the checker to count."""
LONG = f"---\nexecutor: sh\n---\n{ACT}\nwhile [ ! -e go ]; do sleep 0.05; done\necho done\n"
REVIEW = Expected(("failed",), ("crashed",), (1, 1))
"""A command whose runner was killed."""
_TRANSPORT = "_internal/transport"
STUBBED = (
    "__init__.py",
    "types.py",
    "_errors.py",
    f"{_TRANSPORT}/__init__.py",
    f"{_TRANSPORT}/subprocess_cli.py",
)
STUB = '''"""Stands in for the agent's SDK, which command tasks never use and which takes a second to import."""
def __getattr__(name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (Exception,), {})
'''


class NotHereError(Exception):
    """The machine lacks what a case needs."""


@dataclass
class Traced:
    """A program that runs under the tracer."""

    process: subprocess.Popen[bytes]
    log: Path

    def entries(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        whole = self.log.read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole]

    def ended(self) -> bool:
        """The program itself; its runners may go on."""
        return self.process.poll() is not None or any("ended" in entry for entry in self.entries())

    def struck(self, what: str) -> dict[str, Any] | None:
        """The call at which the process was ``killed``, or that ``failed``."""
        return next((entry[what] for entry in self.entries() if what in entry), None)


@dataclass
class ProofBench:
    """One queue in *home*; everything started here is ended by ``close``."""

    home: Path
    config: dict[str, Any] = field(default_factory=dict)
    light: bool = True
    """Without the agent's SDK, for command tasks."""
    program: Sequence[str] = (sys.executable, "-m", "task_queue.cli")

    def __post_init__(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        timing: dict[str, Any] = {"settle_seconds": 0.02, "sweep_seconds": 0.2, "stop_grace_seconds": 5}
        self.rig = Rig(self.home, **{**timing, **self.config})
        if self.light:
            without_sdk(self.rig, self.home / "light")
        self.effects = self.rig.workspace / "effects"
        self._runs = 0
        self._traced: list[Traced] = []
        self.started: list[subprocess.Popen[bytes]] = []

    @property
    def queue(self) -> Path:
        return self.rig.queue()

    def argv(self, *arguments: str) -> list[str]:
        return [*self.program, "--config", str(self.rig.config), *arguments]

    def trace(self, *arguments: str, **spec: Any) -> Traced:
        """Start the command line under the tracer; *spec* as told there."""
        self._runs += 1
        log = self.home / f"trace-{self._runs}"
        full = {"watch": [str(self.queue)], "log": str(log), **spec}
        with (self.home / "errors").open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.proof.tracer", json.dumps(full), *self.argv(*arguments)],
                env=self.rig.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        self._traced.append(Traced(process, log))
        return self._traced[-1]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.home / "errors").open("ab") as errors:
            process = subprocess.Popen(
                self.argv(*arguments), env=self.rig.environment, cwd=self.home, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def recover(self) -> None:
        """A fresh daemon that ends when nothing is left to do."""
        self.start("run", "--drain").wait(timeout=LIMIT_S)

    def problems(self, dropped: Mapping[str, Dropped]) -> list[str]:
        """What the checker finds once everything that was started has ended."""
        found: list[str] = []
        try:
            eventually(lambda: all(t.process.poll() is not None for t in self._traced), timeout=30)
        except AssertionError:
            found.append("processes of the traced run have not ended")
        return found + problems_of(self.home, self.queue, self.effects, dropped)

    def errors(self) -> str:
        path = self.home / "errors"
        return path.read_text()[-3000:] if path.exists() else ""

    def close(self) -> None:
        for process in (*self.started, *(traced.process for traced in self._traced)):
            if process.poll() is None:
                process.kill()  # the tracer takes along what it traces
                process.wait()
        for pid in marked_processes(self.home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def without_sdk(rig: Rig, folder: Path) -> None:
    """Put a stand-in for the agent's SDK into *folder*, and into the way of what *rig* starts."""
    stub = folder / "claude_agent_sdk"
    (stub / "_internal" / "transport").mkdir(parents=True)
    for module in STUBBED:
        (stub / module).write_text(STUB)
    # What the queue starts looks where the queue itself is, and nowhere else.
    (folder / "task_queue").symlink_to(ROOT / "task_queue")
    rig.environment["PYTHONPATH"] = f"{folder}:{ROOT}"


@contextmanager
def proof_bench(home: Path, **options: Any) -> Iterator[ProofBench]:
    """A bench that is closed, and removed unless something went wrong."""
    bench = ProofBench(home, **options)
    try:
        yield bench
    finally:
        bench.close()
    shutil.rmtree(home, ignore_errors=True)


def wait_for(probe: Callable[[], object], what: str) -> None:
    eventually(probe, timeout=LIMIT_S, what=what)
