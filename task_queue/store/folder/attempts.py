"""What lies in the folder of one attempt: who runs it, what it says, how it ended."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.model import Claim, Ending, RunRecord
from task_queue.platform import durable, identity
from task_queue.platform.records import Record, encode
from task_queue.store.folder.files import read_record
from task_queue.store.folder.layout import SNAPSHOT, Layout

RUN = "run.json"
ENDING = "outcome.json"
TRANSCRIPT = "transcript.jsonl"
STEPS = "steps.jsonl"
_STEPS_LIMIT = 64 * 2**20
_FORGED = "outcome-forged.json"


class AttemptFolders:
    """Of one source. The methods mean what ports.store.Engine says, and raise OSError besides."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def run_of(self, claim: Claim) -> RunRecord | None:
        return self._record(RunRecord, claim, RUN)

    def abandon(self, claim: Claim, *, now: datetime) -> RunRecord:
        me = identity.own_identity()
        tombstone = RunRecord(
            task_id=claim.task_id,
            attempt=claim.attempt,
            marker="",
            pid=me.pid,
            pid_start_ticks=me.pid_start_ticks,
            boot_id=me.boot_id,
            started_at=now,
            abandoned=True,
        )
        return _publish_first(RunRecord, self._layout.attempt_of(claim) / RUN, tombstone)

    def commit(self, claim: Claim, ending: Ending) -> Ending:
        return _publish_first(Ending, self._layout.attempt_of(claim) / ENDING, ending)

    def ending_of(self, claim: Claim) -> Ending | None:
        return self._record(Ending, claim, ENDING)

    def set_ending_aside(self, claim: Claim) -> None:
        attempt = self._layout.attempt_of(claim)
        with contextlib.suppress(FileNotFoundError):
            durable.move_aside(attempt / ENDING, attempt / _FORGED)

    def set_unreadable_aside(self, claim: Claim) -> None:
        attempt = self._layout.attempt_of(claim)
        for kind, name in ((RunRecord, RUN), (Ending, ENDING)):
            path = attempt / name
            if isinstance(read_record(kind, path), str):
                durable.move_aside(path, path.with_stem(f"{path.stem}-forged"))

    def transcript(self, claim: Claim) -> Iterator[str]:
        try:
            file = durable.open_regular(self._layout.attempt_of(claim) / TRANSCRIPT)
        except OSError as error:
            if error.errno not in durable.NO_REGULAR_FILE:
                raise
            return
        with file, io.TextIOWrapper(file, encoding="utf-8", errors="replace") as lines:
            yield from lines

    def steps(self, claim: Claim) -> list[str]:
        try:
            data, _ = durable.read_regular(self._layout.attempt_of(claim) / STEPS, limit=_STEPS_LIMIT)
        except OSError:
            return []
        return data.decode(errors="replace").splitlines()

    def may_have_acted(self, claim: Claim) -> bool:
        attempt = self._layout.attempt_of(claim)
        snapshot = os.path.lexists(attempt / SNAPSHOT)
        return not snapshot or os.path.lexists(attempt / TRANSCRIPT)

    def _record(self, kind: type[Record], claim: Claim, name: str) -> Record | None:
        path = self._layout.attempt_of(claim) / name
        record = read_record(kind, path)
        if isinstance(record, str):
            raise EngineUnavailable(f"{path}: {record}", hint="it is kept as it is; move it away to go on")
        return record


def _publish_first(kind: type[Record], path: Path, record: Record) -> Record:
    """The record that was published at *path* first: this one, or an earlier one."""
    durable.make_directory(path.parent)
    try:
        durable.publish(path, encode(record))
    except FileExistsError:
        earlier = read_record(kind, path)
        if isinstance(earlier, str) or earlier is None:
            raise EngineUnavailable(f"{path}: {earlier or 'vanished'}") from None
        return earlier
    return record
