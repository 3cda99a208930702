"""The folder of one attempt in the hands of its runner: the run record first, the ending last."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from task_queue.domain.errors import ClaimLost
from task_queue.domain.model import Claim, Ending, RunRecord
from task_queue.platform import durable
from task_queue.platform.lockfile import FileLock
from task_queue.platform.records import encode
from task_queue.store.folder.attempts import (
    ALIVE,
    ENDING,
    STEPS,
    TRANSCRIPT,
    lines_in,
    set_aside,
    step_lines,
)
from task_queue.store.folder.files import make_attempt, read_record
from task_queue.store.folder.layout import RUN, Layout
from task_queue.store.folder.records import lock_bytes, run_bytes
from task_queue.store.folder.unfinished import unfinished_in
from task_queue.store.transcript import FileTranscript

_ERRORS = "runner.log"
_LOCK_LIMIT = 2**20
_LOCK_PATIENCE_S = 5.0


class FolderAttemptWriter:
    """Implements ports.attempt_writer.AttemptWriter."""

    def __init__(self, pending: Path, claim: Claim) -> None:
        self._layout = Layout(pending)
        self._claim = claim
        self._folder = self._layout.attempt_of(claim)
        self._alive = FileLock(self._folder / ALIVE)
        """Never released: the kernel does that when the runner ends."""

    def show(self, run: RunRecord) -> bool:
        # First: a record without the lock would show other PID namespaces a runner that has died.
        if not self._alive.take(within_s=_LOCK_PATIENCE_S):
            raise TimeoutError(f"{self._folder / ALIVE}: another process holds the lock")
        return _is_first(self._folder / RUN, run_bytes(run))

    def claim_stands(self) -> bool:
        try:
            lock, _ = durable.read_regular(self._layout.lock(self._claim.document), limit=_LOCK_LIMIT)
        except FileNotFoundError:
            return False
        return lock == lock_bytes(self._claim)

    def transcript(self, *, limit_mb: int, secrets: Iterable[str]) -> FileTranscript:
        return FileTranscript(self._folder / TRANSCRIPT, limit_mb=limit_mb, secrets=secrets)

    def transcript_lines(self) -> Iterator[str]:
        return lines_in(self._folder / TRANSCRIPT)

    def add_step(self, line: str) -> None:
        durable.append(self._folder / STEPS, line.encode() + b"\n")

    def steps(self, attempt: int) -> list[str]:
        return step_lines(self._layout.attempt(self._claim.task_id, attempt) / STEPS)

    def commit(self, ending: Ending) -> bool:
        if not self._layout.root.exists():
            raise ClaimLost(f"{self._layout.root} is gone, and the claim of {self._claim.task_id} with it")
        # An agent or a person may have deleted it meanwhile, or put something else in its place.
        make_attempt(self._layout, self._claim.task_id, self._claim.attempt)
        return _is_first(self._folder / ENDING, encode(ending))

    def ending(self) -> Ending | None:
        ending = read_record(Ending, self._folder / ENDING)
        return None if isinstance(ending, str) else ending

    def set_ending_aside(self) -> str | None:
        try:
            return set_aside(self._folder / ENDING).name
        except FileNotFoundError:
            return None

    def errors(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._folder / _ERRORS, flags, 0o600)

    def unfinished(self) -> frozenset[str]:
        return unfinished_in(self._layout.pending)


def _is_first(path: Path, data: bytes) -> bool:
    """Publish *data* at *path*; False if the name is taken."""
    try:
        durable.publish(path, data)
    except FileExistsError:
        return False
    return True
