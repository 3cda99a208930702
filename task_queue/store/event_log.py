"""The writer of the event log: one function, for every process that has something to report.

The log is a record and not the truth, so it gives way to the work: appending never raises, waits at most for a
moment, and does not wait for the disk (there is no fsync; a power cut may cost the last seconds). What could not be
written is counted, and one ``events_lost`` says how many once writing works again. ``kill -9`` at any moment costs
at most the event that was being written.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.event_record import EventRecord, record_of
from task_queue.domain.events import Event
from task_queue.platform import durable
from task_queue.platform.lockfile import FileLock
from task_queue.store import event_files as files
from task_queue.store.event_files import EventFolder, SegmentEnd

EVENTS_LOST = "events_lost"
PATIENCE_S = 0.25
_IMPATIENCE_S = 0.005
log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class EventLog:
    """Appends to the log in *folder*, which is made when it is needed. Thread-safe; a fork starts over by itself."""

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = files.SEGMENT_BYTES,
        patience_s: float = PATIENCE_S,
        now: Callable[[], datetime] = _now,
        warn: Callable[[str], None] = log.warning,
    ) -> None:
        """*warn* is called with the first of several events in a row that are lost, not with each."""
        self._folder = EventFolder(folder)
        self._segment_bytes = segment_bytes
        self._patience_s = patience_s
        self._now = now
        self._warn = warn
        self._counting = threading.Lock()
        self._lost = 0
        self._begin()

    def append(self, record: EventRecord) -> int | None:
        """The number that *record* got, None if it is lost."""
        if self._pid != os.getpid():
            # An inherited descriptor shares its lock with the parent, which would keep neither of them out.
            self._close_files()
            self._counting = threading.Lock()
            self._lost = 0
            self._begin()
        body = files.encoded(record)
        # One failure is waited for, not each: a lock that is stuck must not slow down the work.
        patience_s = _IMPATIENCE_S if self._lost else self._patience_s
        if not self._mutex.acquire(timeout=patience_s):
            self._lose(TimeoutError("another thread is still writing"))
            return None
        try:
            return self._append(body, patience_s)
        except OSError as error:
            self._close_files()
            self._lose(error)
            return None
        finally:
            self._mutex.release()

    def emit(self, event: Event) -> None:
        """Implements ports.emit.Emit."""
        self.append(record_of(event))

    def close(self) -> None:
        with self._mutex:
            self._close_files()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._lock = FileLock(self._folder.lock)
        self._fd: int | None = None
        self._first = 1
        self._epoch = ""
        self._epoch_stamp: tuple[int, int, int] | None = None
        self._end = SegmentEnd(0, 0, 0)

    def _append(self, body: bytes, patience_s: float) -> int:
        try:
            with self._lock.held(within_s=patience_s):
                return self._write(body)
        except FileNotFoundError:
            durable.make_directory(self._folder.path)
            with self._lock.held(within_s=patience_s):
                return self._write(body)

    def _write(self, body: bytes) -> int:
        """Under the lock."""
        fd = self._writable_segment()
        lost, last, at = self._lost, self._end.last, self._now()
        data = b"\n" if self._end.fragment else b""
        if lost:
            last += 1
            data += files.line_of(last, at, files.encoded(EventRecord(EVENTS_LOST, {"count": lost})))
        last += 1
        data += files.line_of(last, at, body)
        size = self._end.size
        written = os.write(fd, data)
        if written < len(data):
            os.ftruncate(fd, size)
            raise OSError(errno.ENOSPC, "only a part of the event could be written")
        self._end = SegmentEnd(size + written, last, 0)
        if lost:
            with self._counting:
                self._lost -= lost
        return last

    def _writable_segment(self) -> int:
        """The segment to append to; ``_end`` describes it."""
        stamp = self._stamp_of_epoch()
        if self._fd is None or stamp is None or stamp != self._epoch_stamp:
            self._open_last_segment()
        assert self._fd is not None
        about = os.fstat(self._fd)
        if files.is_sealed(about) or about.st_nlink == 0:
            self._open_last_segment()
        elif about.st_size != self._end.size:  # another process has appended, or was killed meanwhile
            self._end = files.end_of(self._fd, self._first)
        if self._end.size >= self._segment_bytes:
            files.seal(self._fd)
            self._create_segment(self._end.last + 1)
        return self._fd

    def _open_last_segment(self) -> None:
        self._close_segment()
        epoch = self._folder.current_epoch() or self._create_epoch()
        self._epoch, self._epoch_stamp = epoch, self._stamp_of_epoch()
        firsts = self._folder.firsts(epoch)
        if not firsts:
            self._create_segment(1)
            return
        self._first = firsts[-1]
        self._fd = files.open_segment(self._folder.segment(epoch, self._first))
        self._end = files.end_of(self._fd, self._first)
        if files.is_sealed(os.fstat(self._fd)):
            self._create_segment(self._end.last + 1)

    def _create_segment(self, first: int) -> None:
        created = files.open_segment(self._folder.segment(self._epoch, first), create=True)
        self._close_segment()
        self._fd, self._first, self._end = created, first, SegmentEnd(0, first - 1, 0)

    def _create_epoch(self) -> str:
        epoch = os.urandom(4).hex()
        segments = self._folder.segments_of(epoch)
        durable.make_directory(segments)
        try:
            durable.replace(self._folder.epoch, epoch.encode() + b"\n")
        except OSError:  # a disk that stays full must not fill up with folders
            segments.rmdir()
            raise
        return epoch

    def _stamp_of_epoch(self) -> tuple[int, int, int] | None:
        """Changes with the epoch."""
        try:
            about = os.lstat(self._folder.epoch)
        except FileNotFoundError:
            return None
        return about.st_dev, about.st_ino, about.st_mtime_ns

    def _lose(self, error: OSError) -> None:
        with self._counting:
            self._lost += 1
            first = self._lost == 1
        if first:
            self._warn(f"events cannot be written, they are counted as lost error={error}")

    def _close_segment(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _close_files(self) -> None:
        for close in (self._close_segment, self._lock.release):
            with contextlib.suppress(OSError):
                close()
