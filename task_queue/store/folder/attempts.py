"""What is in the folder of one attempt: who runs it, what it says, how it ended."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from task_queue.domain.attempt.proof import is_signed_by_runner
from task_queue.domain.errors import EngineUnavailable, NeedsPersonError
from task_queue.domain.model import Claim, Ending, OutcomeKind, RunRecord
from task_queue.platform import durable
from task_queue.platform.liveness import Life, life_of
from task_queue.platform.owners import this_process
from task_queue.platform.records import Decoded, encode
from task_queue.ports.attempt_log import AttemptPlace, LogAddress
from task_queue.store.folder.claim_cache import ClaimCache
from task_queue.store.folder.files import make_attempt, read_record
from task_queue.store.folder.layout import RUN, SNAPSHOT, Layout
from task_queue.store.folder.records import RunFile

ENGINE = "folder"
"""What the address of a log says of this kind of engine; the location is the path of ``pending/``."""
ENDING = "outcome.json"
TRANSCRIPT = "transcript.jsonl"
STEPS = "steps.jsonl"
ALIVE = "runner.lock"
"""Locked by the runner for as long as it lives: shows that to processes for which its id means nothing."""
_STEPS_LIMIT = 64 * 2**20
_UNUSABLE = durable.NO_REGULAR_FILE | {errno.EACCES}
"""Of what an agent may have put in the place of its attempt's own files: as if there were none."""


class FolderAttempts:
    """Implements ports.attempt_log.AttemptLog."""

    def __init__(
        self, layout: Layout, cache: ClaimCache, available: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._layout = layout
        self._cache = cache
        self._available = available

    def place_of(self, claim: Claim) -> AttemptPlace:
        folder = self._layout.attempt_of(claim)
        return AttemptPlace(
            LogAddress(ENGINE, str(self._layout.pending)),
            folder / SNAPSHOT,
            folder,
            self._layout.artifacts(claim.task_id),
        )

    def run_of(self, claim: Claim) -> RunRecord | None:
        run = self._record(RunFile, claim, RUN)
        return None if run is None else run.record

    def runs_out_of_sight(self, claim: Claim) -> bool:
        path = self._layout.attempt_of(claim) / ALIVE
        run = self._record(RunFile, claim, RUN)
        if run is None or run.abandoned or run.lease is not None or run.process.is_in_sight:
            return False
        life = life_of(run.process, path)
        if life is Life.UNKNOWN:
            raise NeedsPersonError(
                f"{claim.task_id}: its runner was started in another PID namespace (a container), and whether"
                f" it lives cannot be known, because {path} is missing or cannot be locked",
                hint=f"once no process of it runs any more: touch {shlex.quote(str(path))}",
            )
        return life is Life.ELSEWHERE

    def abandon(self, claim: Claim, *, now: datetime) -> RunRecord:
        tombstone = RunRecord(
            claim.task_id, claim.attempt, marker="", runner=this_process(), started_at=now, abandoned=True
        )
        with self._available():
            path = self._layout.attempt_of(claim) / RUN
            make_attempt(self._layout, claim.task_id, claim.attempt)
            return _publish_first(RunFile, path, RunFile.of(tombstone)).record

    def commit(self, claim: Claim, ending: Ending) -> Ending:
        with self._available():
            make_attempt(self._layout, claim.task_id, claim.attempt)
            standing = _publish_first(Ending, self._layout.attempt_of(claim) / ENDING, ending)
        cached = self._cache.of(claim)
        if cached is not None and standing == ending:
            cached.ending = encode(ending)
        return standing

    def ending_of(self, claim: Claim) -> Ending | None:
        return self._record(Ending, claim, ENDING)

    def is_genuine(self, claim: Claim, ending: Ending) -> bool:
        cached = self._cache.of(claim)
        if cached is None:  # a lock that neither this process made nor an earlier one left for it
            return is_signed_by_runner(claim, ending) and ending.outcome.kind is not OutcomeKind.SUCCEEDED
        if cached.made_here and ending.committed_by != "runner":
            return cached.ending == encode(ending)
        return is_signed_by_runner(claim, ending)

    def set_ending_aside(self, claim: Claim) -> None:
        with self._available(), contextlib.suppress(FileNotFoundError):
            set_aside(self._layout.attempt_of(claim) / ENDING)

    def transcript(self, claim: Claim) -> Iterator[str]:
        return lines_in(self._layout.attempt_of(claim) / TRANSCRIPT)

    def steps(self, claim: Claim) -> list[str]:
        with self._available():
            return step_lines(self._layout.attempt_of(claim) / STEPS)

    def may_have_acted(self, claim: Claim) -> bool:
        attempt = self._layout.attempt_of(claim)
        snapshot = os.path.lexists(attempt / SNAPSHOT)
        return not snapshot or os.path.lexists(attempt / TRANSCRIPT)

    def _record(self, kind: type[Decoded], claim: Claim, name: str) -> Decoded | None:
        """Rubbish in the place of a record says nothing; it is kept aside, so that it harms this task only."""
        path = self._layout.attempt_of(claim) / name
        with self._available():
            record = read_record(kind, path)
            if isinstance(record, str):
                self._set_unreadable_aside(claim)
                record = read_record(kind, path)
        if isinstance(record, str):
            raise EngineUnavailable(f"{path}: {record}", hint="it is kept as it is; move it away to go on")
        return record

    def _set_unreadable_aside(self, claim: Claim) -> None:
        attempt = self._layout.attempt_of(claim)
        for kind, name in ((RunFile, RUN), (Ending, ENDING)):
            if isinstance(read_record(kind, attempt / name), str):
                set_aside(attempt / name)


def set_aside(path: Path) -> Path:
    """Rename a record that is not what it claims to be; its new name. Raises OSError."""
    return durable.move_aside(path, path.with_stem(f"{path.stem}-forged"))


def lines_in(path: Path) -> Iterator[str]:
    """The lines of a transcript; none if there is no such file, or no readable one. Raises OSError."""
    try:
        file = durable.open_regular(path)
    except OSError as error:
        if error.errno not in _UNUSABLE:
            raise
        return
    with file, io.TextIOWrapper(file, encoding="utf-8", errors="replace") as lines:
        yield from lines


def step_lines(path: Path) -> list[str]:
    """The lines of a file of steps; none if there is no such file, or no readable one.

    Raises OSError: what cannot be read now was done anyway.
    """
    try:
        data, _ = durable.read_regular(path, limit=_STEPS_LIMIT)
    except OSError as error:
        if error.errno in _UNUSABLE:
            return []
        raise
    return data.decode(errors="replace").splitlines()


def _publish_first(kind: type[Decoded], path: Path, record: Decoded) -> Decoded:
    """The record that was published at *path* first: this one, or an earlier one."""
    try:
        durable.publish(path, encode(record))
    except FileExistsError:
        earlier = read_record(kind, path)
        if isinstance(earlier, str) or earlier is None:
            raise EngineUnavailable(f"{path}: {earlier or 'vanished'}") from None
        return earlier
    return record
