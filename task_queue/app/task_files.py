"""The files of one task, as programs read them: document, result, report, and parts of a transcript."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from task_queue.app.finding import NotThereError, document_of, found
from task_queue.app.installation import Installation
from task_queue.app.transcript import logs_of, may_grow
from task_queue.domain.task import TaskId
from task_queue.platform import durable

_LARGEST = 16 * 2**20


@dataclass(frozen=True, slots=True)
class TaskFile:
    """``sha256``: of all of ``data``."""

    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class TranscriptPart:
    """Bytes of a transcript from an offset on. ``end``: where what follows begins."""

    data: bytes
    end: int
    attempt: int
    may_grow: bool
    """More may be written to it, or there is more already."""
    folders: tuple[Path, ...]
    """Something changes in one of them when it grows, or is over."""


def file_of(installation: Installation, task_id: TaskId, kind: str) -> TaskFile:
    """*kind* is ``document``, ``result`` or ``report``. Raises UnknownTaskError, NotThereError, OSError."""
    listed, state = found(installation.sources(), task_id)
    folders = listed.folders
    path = {
        "document": document_of(listed, task_id, state),
        "result": folders.result(task_id),
        "report": folders.report(task_id),
    }[kind]
    try:
        data, _ = durable.read_regular(path, limit=_LARGEST)
    except FileNotFoundError:
        raise NotThereError(f"task {task_id} has no {kind}") from None
    return TaskFile(data[:_LARGEST], hashlib.sha256(data).hexdigest())


def transcript_part(
    installation: Installation, task_id: TaskId, *, attempt: int | None, offset: int, limit: int
) -> TranscriptPart:
    """Whole lines, at most *limit* bytes unless one line is longer. Raises UnknownTaskError, NotThereError, OSError."""
    logs = logs_of(installation, task_id, attempt=attempt)
    grows = may_grow(installation, logs)  # asked before reading: nothing written until the end is missed
    try:
        with durable.open_regular(logs.transcript) as file:
            data = os.pread(file.fileno(), limit, offset)
            while data and b"\n" not in data and (more := os.pread(file.fileno(), limit, offset + len(data))):
                data += more
    except FileNotFoundError:
        data = b""
    whole = data[: data.rfind(b"\n") + 1]
    folder = logs.transcript.parent
    may_follow = grows or len(data) >= limit
    return TranscriptPart(whole, offset + len(whole), logs.attempt, may_follow, (folder, folder.parent))


def transcript_end(installation: Installation, task_id: TaskId, *, limit: int) -> bytes:
    """The last whole lines of the last attempt's transcript, at most *limit* bytes. Raises TaskQueueError, OSError."""
    logs = logs_of(installation, task_id, attempt=None)
    try:
        with durable.open_regular(logs.transcript) as file:
            begin = max(0, os.fstat(file.fileno()).st_size - limit)
            data = os.pread(file.fileno(), limit, begin)
    except FileNotFoundError:
        return b""
    return data if begin == 0 else data[data.find(b"\n") + 1 :]
