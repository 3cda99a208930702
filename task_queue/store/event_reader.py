"""The reader of the event log: what follows a cursor, each event once and in the order of the numbers.

A cursor names one event by its epoch, number, place and checksum, so that going on from it opens one segment and
reads nothing that comes before. A cursor whose event is not there (another epoch, a part that is gone by
``retention``, a log that was restored from a backup, a text that was never a cursor) is answered with
``cursor_reset``, and then with what there is from the beginning.
Nothing is locked and nothing is written: it works beside any number of writers, and without a daemon.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from task_queue.domain.event_record import EventRecord
from task_queue.platform import durable
from task_queue.store import event_files as files
from task_queue.store.event_files import EventFolder

CURSOR_RESET = "cursor_reset"
END = "end"
"""In place of a cursor: only what comes from now on."""
log = logging.getLogger(__name__)
_CHUNK = 4 * files.LINE_BYTES
_CURSOR = re.compile(r"([0-9a-f]{8})\.([0-9a-f]{1,12})\.([0-9a-f]{1,12})\.([0-9a-f]{1,8})")


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event as it was read. ``source``, ``task_id`` and ``attempt`` are None where it concerns none."""

    cursor: str
    at: datetime
    source: str | None
    task_id: str | None
    attempt: int | None
    type: str
    data: dict[str, Any]


class _Place(NamedTuple):
    """One event's line: where it begins in which segment, and what it says. Number 0: before the first."""

    epoch: str
    seq: int = 0
    offset: int = 0
    line: bytes = b""

    def cursor(self) -> str:
        return f"{self.epoch}.{self.seq:x}.{self.offset:x}.{zlib.crc32(self.line):x}"


class EventReader:
    """Reads on where it stopped each time that ``events`` is called."""

    def __init__(
        self,
        folder: Path,
        after: str | None = None,
        *,
        types: Collection[str] = (),
        task_id: str | None = None,
        warn: Callable[[str], None] = log.warning,
    ) -> None:
        """Begin after the cursor *after*; None: with the first event. *warn* is called with what is skipped."""
        self._folder = EventFolder(folder)
        self._after = after
        self._types = frozenset(types)
        self._task_id = task_id
        # A line without these bytes is passed over without being decoded.
        self._type_marks = [b'"type":' + json.dumps(name).encode() for name in types]
        self._task_mark = b"" if task_id is None else json.dumps(task_id, ensure_ascii=False).encode()
        self._warn = warn
        self._place: _Place | None = None
        self._first = 0
        self._file: BinaryIO | None = None
        self._offset = 0

    @property
    def cursor(self) -> str | None:
        """After the last event that was passed, whether it was asked for or not; as given before the first."""
        return self._after if self._place is None else self._place.cursor()

    def events(self) -> Iterator[LoggedEvent]:
        """What follows, up to the present end of the log. Raises OSError."""
        if self._place is None:
            epoch = self._folder.current_epoch()
            if epoch is None:
                return
            if not self._go_after(epoch):
                yield self._begin(epoch)
        while self._place is not None:
            yield from self._rest_of_segment()
            following = self._following_segment()
            epoch = None if following else self._folder.current_epoch()
            if following is None and epoch in {None, self._place.epoch}:
                return
            # Nothing is appended here any more, but something may have been since the first look.
            yield from self._rest_of_segment()
            following = following or self._following_segment()
            if following is not None and not self._is_gone():
                with contextlib.suppress(FileNotFoundError):  # gone just now
                    self._leave_for(self._place.epoch, following)
            else:
                yield self._begin(epoch or self._place.epoch)

    def skip_to_last_segment(self) -> None:
        """Begin there instead of where the reader was made to begin: for what only recent events can say."""
        epoch = self._folder.current_epoch()
        firsts = self._firsts(epoch) if epoch else []
        if epoch and firsts:
            self._place = _Place(epoch)
            self._open(epoch, firsts[-1])

    def folders(self) -> tuple[Path, ...]:
        """Something changes in one of them when more may follow. Reads nothing."""
        if self._place is None:
            return (self._folder.path,)
        return self._folder.path, self._folder.segments_of(self._place.epoch)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _go_after(self, epoch: str) -> bool:
        """Stand after the event that the reader was made to begin after; False if it is not in *epoch*."""
        if self._after is None:
            place: _Place | None = _Place(epoch)
        elif self._after == END:
            place = self._last_of(epoch)
        else:
            place = self._named(epoch, self._after)
        if place is None:
            return False
        if place.seq:
            end = place.offset + len(place.line) + 1
            self._open(epoch, self._segment_holding(epoch, place.seq), offset=end)
        self._place = place
        return True

    def _begin(self, epoch: str) -> LoggedEvent:
        """Stand before the first event of *epoch*; returns the line that says so."""
        self.close()
        self._place, self._first, self._offset = _Place(epoch), 0, 0
        return LoggedEvent(self._place.cursor(), datetime.now(UTC), None, None, None, CURSOR_RESET, {})

    def _named(self, epoch: str, cursor: str) -> _Place | None:
        """The place of exactly the event that *cursor* names, None if it is not there."""
        parts = _CURSOR.fullmatch(cursor)
        if parts is None or parts[1] != epoch:
            return None
        place, seq, offset = _Place(epoch), int(parts[2], 16), int(parts[3], 16)
        if first := self._segment_holding(epoch, seq):
            with durable.open_regular(self._folder.segment(epoch, first)) as file:
                line, newline, _ = os.pread(file.fileno(), files.LINE_BYTES, offset).partition(b"\n")
            place = _Place(epoch, seq, offset, line) if newline else place
        return place if place.cursor() == cursor else None

    def _last_of(self, epoch: str) -> _Place:
        """The last event that can be read."""
        for first in reversed(self._firsts(epoch)):
            with durable.open_regular(self._folder.segment(epoch, first)) as file:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size - _CHUNK)
                *lines, fragment = os.pread(file.fileno(), size - start, start).split(b"\n")
            offset = size - len(fragment)
            for line in reversed(lines):
                offset -= len(line) + 1
                found = files.decoded(line)
                if found is not None:
                    return _Place(epoch, found.seq, offset, line)
        return _Place(epoch)

    def _firsts(self, epoch: str) -> list[int]:
        try:
            return self._folder.firsts(epoch)
        except FileNotFoundError:  # deleted by a person
            return []

    def _segment_holding(self, epoch: str, seq: int) -> int:
        return max((first for first in self._firsts(epoch) if first <= seq), default=0)

    def _following_segment(self) -> int | None:
        assert self._place is not None
        return next((first for first in self._firsts(self._place.epoch) if first > self._first), None)

    def _open(self, epoch: str, first: int, *, offset: int = 0) -> None:
        self.close()
        self._file = durable.open_regular(self._folder.segment(epoch, first))
        self._first, self._offset = first, offset

    def _is_gone(self) -> bool:
        """Whether what is read was removed meanwhile, and so perhaps what follows it."""
        assert self._place is not None
        return self._first > 0 and not self._folder.segment(self._place.epoch, self._first).exists()

    def _leave_for(self, epoch: str, first: int) -> None:
        if self._file is not None and os.fstat(self._file.fileno()).st_size > self._offset:
            self._warn_of("an event that was not written to its end")
        self._open(epoch, first)

    def _rest_of_segment(self) -> Iterator[LoggedEvent]:
        """Every whole line that follows, if it is wanted."""
        while self._file is not None:
            # Not buffered: a line whose end is missing is read again, and may be another one by then.
            chunk = os.pread(self._file.fileno(), _CHUNK, self._offset)
            whole, newline, _ = chunk.rpartition(b"\n")
            if not newline:
                if len(chunk) < _CHUNK:
                    return
                whole = chunk[:-1]  # no event is that long
            for line in whole.split(b"\n"):
                offset = self._offset
                self._offset += len(line) + 1
                event = self._passed(line, offset)
                if event is not None:
                    yield event

    def _passed(self, line: bytes, offset: int) -> LoggedEvent | None:
        """Go past *line*; the event in it if it is wanted."""
        assert self._place is not None
        wanted = self._may_be_wanted(line)
        found = files.decoded(line) if wanted else None
        seq = found.seq if found else None if wanted else files.number_of(line)
        if seq is None:
            self._warn_of("a line that cannot be read", offset)
            return None
        if seq <= self._place.seq:
            self._warn_of(f"event {seq}, which is not newer than event {self._place.seq} before it", offset)
            return None
        self._place = _Place(self._place.epoch, seq, offset, line)
        if found is None or not self._is_wanted(found.record):
            return None
        record = found.record
        return LoggedEvent(
            self._place.cursor(),
            found.at,
            record.source,
            record.task_id,
            record.attempt,
            record.type,
            dict(record.data),
        )

    def _may_be_wanted(self, line: bytes) -> bool:
        if self._type_marks and not any(mark in line for mark in self._type_marks):
            return False
        return self._task_mark in line

    def _is_wanted(self, record: EventRecord) -> bool:
        if self._types and record.type not in self._types:
            return False
        return self._task_id is None or record.task_id == self._task_id

    def _warn_of(self, what: str, offset: int | None = None) -> None:
        assert self._place is not None
        path = self._folder.segment(self._place.epoch, self._first)
        self._warn(f"{path}: {what} is skipped (byte {self._offset if offset is None else offset})")
