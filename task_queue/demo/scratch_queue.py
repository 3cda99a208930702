"""The queue as a process of its own on a scratch folder, which ends with us."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from task_queue.platform import isolated

_STOP_S = 45.0


@contextmanager
def queue_process(
    config: Path, *command: str, environment: Mapping[str, str], errors: Path
) -> Generator[subprocess.Popen[bytes]]:
    """``task-queue`` *command* with *config* in exactly *environment*; what it says goes to *errors*."""
    with errors.open("wb") as said:
        process = subprocess.Popen(
            [*isolated.words_for("task_queue.cli", "--config", str(config), *command)],
            env=environment,
            cwd=isolated.DIRECTORY,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for us; we stop it in good order
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def ended_by_signals() -> Generator[None]:
    """Who is asked to end ends the process within, too."""

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def tail(errors: Path) -> str:
    """The last lines of what the process said."""
    lines = errors.read_text(errors="replace").splitlines()
    return "\n".join(lines[-5:]) or "it said nothing"
