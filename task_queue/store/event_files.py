"""Where the event log is kept, and what a line of it looks like. Shared by its writer, its reader and ``reindex``.

    events/lock                   flock(2) of the process that appends
    events/epoch                  name of the folder that is written and read now
    events/<epoch>/<first>.jsonl  a segment: one event a line; *first* is the number of its first event

Within one epoch numbers only grow, and no line is ever changed or moved, so that the place of an event is a
cursor. A segment is made read-only before the next one is created: a writer that still has the earlier one open
sees that in the same fstat(2) that gives its size.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from task_queue.domain.event_record import EventRecord
from task_queue.platform import durable
from task_queue.platform.json_files import object_in

SEGMENT_BYTES = 4 * 2**20
"""A segment that has reached this size is followed by another one."""
LINE_BYTES = 64 * 1024
"""No line that was written whole is longer."""
_MOST_TEXT = 4000
_SHORTER_TEXT = 200
_SHORTEST_LINE = 64
_TAILS = (4096, 2 * LINE_BYTES)
_EPOCH = re.compile(rb"([0-9a-f]{8})\n?")
_SEGMENT = re.compile(r"(\d{16})\.jsonl")
_NUMBER = re.compile(rb'\{"seq":(\d{1,15}),"at":"[^"]*","type":"')
_SURROGATE = re.compile("[\ud800-\udfff]")
_WRITABLE = 0o200


@dataclass(frozen=True, slots=True)
class NumberedRecord:
    """One line of a segment."""

    seq: int
    at: datetime
    record: EventRecord


class EventFolder:
    """Names of the files; reads them, and creates nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / "lock"
        self.epoch = path / "epoch"

    def current_epoch(self) -> str | None:
        """The epoch that is written and read now; None if there is none, or its name cannot be understood."""
        try:
            found = _EPOCH.fullmatch(durable.read_regular(self.epoch, limit=64)[0])
        except FileNotFoundError:
            return None
        if found is None or not self.segments_of(found[1].decode()).is_dir():
            return None
        return found[1].decode()

    def segments_of(self, epoch: str) -> Path:
        return self.path / epoch

    def segment(self, epoch: str, first: int) -> Path:
        return self.path / epoch / segment_name(first)

    def firsts(self, epoch: str) -> list[int]:
        """The first number of each segment, in order. Raises OSError."""
        found = map(_SEGMENT.fullmatch, os.listdir(self.path / epoch))  # noqa: PTH208 - names only, and many
        return sorted(int(match[1]) for match in found if match)

    def end(self) -> str:
        """Where the log ends now, to be compared: it differs once something was appended. Raises OSError."""
        epoch = self.current_epoch()
        firsts = self.firsts(epoch) if epoch else []
        if epoch is None or not firsts:
            return ""
        return f"{epoch} {firsts[-1]} {self.segment(epoch, firsts[-1]).stat().st_size}"


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """What a writer needs to know to go on."""

    size: int
    last: int
    """No event of a higher number was ever written to the segment."""
    fragment: int
    """Bytes of the last line if it was not written to its end; 0 otherwise."""


def end_of(fd: int, first: int) -> SegmentEnd:
    """Read from the tail of the segment *fd* that begins with number *first*.

    What cannot be read there counts as the most events that it can have been, so that no number is used twice.
    """
    size = os.fstat(fd).st_size
    fragment = 0
    for length in (*_TAILS, size):
        start = max(0, size - length)
        lines = os.pread(fd, size - start, start).split(b"\n")
        unread = fragment = len(lines.pop())
        for line in reversed(lines):
            found = decoded(line)
            if found is not None:
                return SegmentEnd(size, found.seq + _most_events_in(unread), fragment)
            unread += len(line) + 1
        if start == 0:
            break
    return SegmentEnd(size, first - 1 + _most_events_in(size), fragment)


def encoded(record: EventRecord) -> bytes:
    """*record* without number and time: the part of a line that is made before the lock is taken."""
    for most in (_MOST_TEXT, _SHORTER_TEXT, 0):
        content: dict[str, Any] = {
            "type": record.type,
            "source": record.source,
            "task_id": record.task_id,
            "attempt": record.attempt,
            "data": _cut(dict(record.data), most) if most else {},
        }
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=str)
        try:
            body = text.encode()
        except UnicodeEncodeError:  # bytes of a file name that are not UTF-8
            body = _SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text).encode()
        if len(body) <= LINE_BYTES // 2:
            break
    return body


def line_of(seq: int, at: datetime, body: bytes) -> bytes:
    return b'{"seq":%d,"at":"%s",%s\n' % (seq, at.isoformat().encode(), body[1:])


def decoded(line: bytes) -> NumberedRecord | None:
    """The event in *line*, None if it is not one."""
    match object_in(line):
        case {
            "seq": int(seq),
            "at": str(at),
            "type": str(type_),
            "source": str() | None as source,
            "task_id": str() | None as task_id,
            "attempt": int() | None as attempt,
            "data": dict() as data,  # pyright: ignore[reportUnknownVariableType] # JSON
        } if seq > 0:
            try:
                time_of = datetime.fromisoformat(at)
            except ValueError:
                return None
            return NumberedRecord(
                seq, time_of, EventRecord(type_, cast("dict[str, Any]", data), source, task_id, attempt)
            )
        case _:
            return None


def number_of(line: bytes) -> int | None:
    """The number of the event in *line*, found without decoding the rest; None if it does not begin like one."""
    found = _NUMBER.match(line)
    return int(found[1]) if found else None


def segment_name(first: int) -> str:
    return f"{first:016d}.jsonl"


def open_segment(path: Path, *, create: bool = False) -> int:
    """A descriptor for appending and reading; for reading only where the segment is sealed. Raises OSError."""
    flags = os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    if create:
        fd = os.open(path, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(fd, 0o600)
        return fd
    # Asked before opening: only root may open a read-only file for writing.
    about = path.lstat()
    if not stat.S_ISREG(about.st_mode) and not stat.S_ISLNK(about.st_mode):
        raise OSError(errno.ENOTSUP, "not a regular file", str(path))
    access = os.O_RDWR if about.st_mode & _WRITABLE else os.O_RDONLY
    return os.open(path, flags | access)


def seal(fd: int) -> None:
    """Nothing is appended to this segment any more."""
    os.fchmod(fd, 0o400)


def is_sealed(about: os.stat_result) -> bool:
    return not about.st_mode & _WRITABLE


def _most_events_in(size: int) -> int:
    return size // _SHORTEST_LINE + 1 if size else 0


def _cut(value: Any, most: int) -> Any:
    """*value* with every text cut to *most* characters."""
    match value:
        case str() if len(value) > most:
            return value[:most] + "…"
        case list() | tuple():
            return [_cut(item, most) for item in cast("list[Any]", value)]
        case dict():
            return {key: _cut(item, most) for key, item in cast("dict[str, Any]", value).items()}
        case _:
            return value
