"""``reindex``: a new epoch of the event log, with the settled events that the results of all sources record.

It is built beside the epoch that is in use, and a rename makes it the current one: killed before, it has changed
nothing. Writers go on meanwhile. What they append is copied, under their lock, as the last step before the rename,
so that it is in the new epoch, too. The segments of the earlier epoch stay where they are; nothing reads them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import tempfile
import time
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from task_queue.domain.attempt.figures import figures_in
from task_queue.domain.document.naming import is_task_id
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.event_record import EventRecord
from task_queue.platform import durable
from task_queue.platform.json_files import object_in
from task_queue.platform.lockfile import FileLock, locked
from task_queue.store import event_files as files
from task_queue.store.event_files import EventFolder
from task_queue.store.event_reader import CURSOR_RESET, END, EventReader, LoggedEvent
from task_queue.store.folder.past_ends import past_settled

log = logging.getLogger(__name__)
_RESULT_LIMIT = 64 * 2**20
_LOCK_PATIENCE_S = 30.0
_ABOUT_NOW_S = 3600.0
_PREFIX = ".building-"
_Settled = tuple[str | None, str | None, int | None]
"""Source, task and attempt: what makes two settled events the same."""


def reindex(
    folder: Path,
    results: Mapping[str, Path],
    *,
    segment_bytes: int = files.SEGMENT_BYTES,
    warn: Callable[[str], None] = log.warning,
    see: Callable[[str, Mapping[str, Any]], None] = lambda _source, _result: None,
) -> int:
    """Begin a new epoch of the log in *folder*; how many settled events it got.

    *results* is each source's folder of results. *warn* is called for each that cannot be read, *see* with the source
    and the JSON of each that can; an OSError of it is warned of. Raises OSError, and TaskQueueError if another
    ``reindex`` is at work.
    """
    _set_aside_what_is_no_log(folder, warn)
    durable.make_directory(folder)
    alone = FileLock(folder / "reindex.lock")
    if not alone.acquire(f"pid {os.getpid()}"):
        raise TaskQueueError(f"{folder}: another reindex is at work ({alone.holder()})")
    try:
        for left in folder.glob(f"{_PREFIX}*"):
            shutil.rmtree(left)
        rebuilding = _Rebuilding(EventFolder(folder), segment_bytes=segment_bytes, warn=warn, see=see)
        return rebuilding.run(results)
    finally:
        alone.release()


def _set_aside_what_is_no_log(folder: Path, warn: Callable[[str], None]) -> None:
    """A folder, a link, a pipe in the place of one of the files keeps every writer out for ever. Raises OSError."""
    places = ((folder, Path.is_dir), *((folder / name, _is_regular) for name in ("lock", "epoch")))
    for path, is_right in places:
        if os.path.lexists(path) and not is_right(path):
            aside = path.with_name(f"{path.name}.aside-{os.urandom(4).hex()}")
            path.rename(aside)
            warn(f"{path}: not what the event log needs there, it is kept as {aside.name}")


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


class _Rebuilding:
    def __init__(
        self,
        folder: EventFolder,
        *,
        segment_bytes: int,
        warn: Callable[[str], None],
        see: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._folder = folder
        self._warn = warn
        self._see = see
        self._began = time.time()
        self._name = os.urandom(4).hex()
        self._building = folder.path / f"{_PREFIX}{self._name}"
        self._segments = _Segments(self._building, segment_bytes)
        self._is_readable = True
        """The log as it was, so that what is appended to it meanwhile can be copied."""
        self._fresh: set[_Settled] = set()
        """Of results so young that their event may be among those that were appended meanwhile."""

    def run(self, results: Mapping[str, Path]) -> int:
        # Where there is no epoch yet, all of one that is begun meanwhile is new.
        is_begun = self._folder.current_epoch() is not None
        meanwhile = EventReader(self._folder.path, END if is_begun else None, warn=self._warn)
        try:
            if is_begun:
                for _ in meanwhile.events():  # it stands at the end from here on
                    pass
        except OSError as error:  # the log is damaged, which is why it is rebuilt
            self._warn(
                f"{error.filename or self._folder.path}: what is written meanwhile is left out: {error.strerror}"
            )
            self._is_readable = False
        durable.make_directory(self._building)
        try:
            number = self._write_settled(results)
            self._segments.sync()
            # What was written until now, so that little is left for the time in which the writers wait.
            self._copy(meanwhile, until=datetime.now(UTC))
            self._switch(meanwhile)
        except BaseException:
            self._segments.close()
            shutil.rmtree(self._building, ignore_errors=True)
            raise
        finally:
            meanwhile.close()
        durable.sync_directory(self._folder.path)
        return number

    def _write_settled(self, results: Mapping[str, Path]) -> int:
        """Oldest first. Only the times are held in memory; the events go through a file without a name."""
        times, places = array("d"), array("q")
        with tempfile.TemporaryFile(dir=self._building) as unsorted:
            for at, record in self._settled(results):
                times.append(at.timestamp())
                places.append(unsorted.tell())
                unsorted.write(files.line_of(1, at, files.encoded(record)))
            for number in sorted(range(len(times)), key=times.__getitem__):
                unsorted.seek(places[number])
                found = files.decoded(unsorted.readline())
                assert found is not None
                if self._segments.is_full:
                    self._segments.sync()
                self._segments.append(found.at, found.record)
        return len(times)

    def _settled(self, results: Mapping[str, Path]) -> Iterator[tuple[datetime, EventRecord]]:
        for source, folder in results.items():
            rebuilt: set[_Settled] = set()
            for path in _results_in(folder):
                try:
                    data, about = durable.read_regular(path, limit=_RESULT_LIMIT)
                    result = _object(data)
                    at, record = settled_from(source, result, otherwise_at=about.st_mtime)
                except FileNotFoundError:
                    continue
                except (OSError, ValueError) as error:
                    self._warn(f"{path}: not a result, left out: {error}")
                    continue
                try:
                    self._see(source, result)
                except OSError as error:
                    self._warn(f"{path}: {error}")
                if about.st_ctime >= self._began - _ABOUT_NOW_S:
                    self._fresh.add((record.source, record.task_id, record.attempt))
                rebuilt.add((record.source, record.task_id, record.attempt))
                yield at, record
            yield from self._settled_before(source, folder, rebuilt)

    def _settled_before(
        self, source: str, results: Path, rebuilt: Collection[_Settled]
    ) -> Iterator[tuple[datetime, EventRecord]]:
        """Of tasks whose results are gone by ``retention``; without those in *rebuilt*, whose results are there."""
        try:
            for past in past_settled(results):
                if (source, past.task_id, past.attempt) not in rebuilt:
                    yield past.at, EventRecord("settled", past.data, source, past.task_id, past.attempt)
        except OSError as error:
            self._warn(f"{error.filename or results}: {error.strerror}")

    def _copy(self, meanwhile: EventReader, *, until: datetime | None = None) -> None:
        """Take over what was appended, without waiting for the disk: it is as durable as when it was written.

        Ends at the first event after *until*: writers may be quicker than the copying.
        """
        for event in meanwhile.events() if self._is_readable else ():
            about = (event.source, event.task_id, event.attempt)
            is_rewritten = event.type == "settled" and about in self._fresh
            if event.type != CURSOR_RESET and not is_rewritten:
                self._segments.append(event.at, _record(event))
            if until is not None and event.at > until:
                return

    def _switch(self, meanwhile: EventReader) -> None:
        """The only step that writers wait for, so nothing in it waits for the disk."""
        name = self._building / "epoch"
        durable.publish(name, self._name.encode() + b"\n")
        with locked(self._folder.lock, within_s=_LOCK_PATIENCE_S):
            self._copy(meanwhile)
            self._segments.close()
            self._building.rename(self._folder.segments_of(self._name))
            (self._folder.segments_of(self._name) / name.name).rename(self._folder.epoch)


class _Segments:
    """Appends to the segments of an epoch that no other process knows yet."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._file: IO[bytes] | None = None
        self._next = 1

    @property
    def is_full(self) -> bool:
        return self._file is not None and self._file.tell() >= self._segment_bytes

    def append(self, at: datetime, record: EventRecord) -> None:
        if self._file is not None and self.is_full:
            files.seal(self._file.fileno())
            self.close()
        if self._file is None:
            path = self._folder / files.segment_name(self._next)
            self._file = os.fdopen(files.open_segment(path, create=True), "wb")
        self._file.write(files.line_of(self._next, at, files.encoded(record)))
        self._next += 1

    def sync(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _object(data: bytes) -> dict[str, Any]:
    """Raises ValueError."""
    found = object_in(data)
    if isinstance(found, str):
        raise ValueError(found)  # noqa: TRY004 - what a file says, not what code does
    return found


def settled_from(source: str, result: Any, *, otherwise_at: float) -> tuple[datetime, EventRecord]:
    """When the task of *result* settled, and the event of it; older releases' results have fewer keys.

    *otherwise_at*, in seconds since 1970, is the time of a result that has none. Raises ValueError for other JSON.
    """
    match result:
        case {"task_id": str(task_id), "success": bool(success)} if is_task_id(task_id):
            content = cast("dict[str, Any]", result)
        case _:
            raise ValueError("task_id or success is missing")
    attempts = content.get("attempts")
    last: object = attempts[-1] if isinstance(attempts, list) and attempts else None  # pyright: ignore[reportUnknownVariableType]
    number: object = cast("dict[str, Any]", last).get("number") if isinstance(last, dict) else None
    milliseconds, cost = content.get("duration_ms"), content.get("total_cost_usd")
    turns, outcome = content.get("num_turns"), content.get("outcome")
    data = {
        "state": "completed" if success else "failed",
        "outcome": outcome if isinstance(outcome, str) else "succeeded" if success else "failed",
        "reason": str(content.get("error") or ""),
        "took": milliseconds / 1000 if isinstance(milliseconds, int | float) else 0.0,
        "turns": turns if isinstance(turns, int) else 0,
        "cost_usd": cost if isinstance(cost, int | float) else None,
        "dead_letter": content.get("dead_letter") is True,
        "attention": _kinds(content.get("attention")),
        "figures": figures_in(content),
    }
    at = datetime.fromtimestamp(otherwise_at, UTC)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        at = datetime.fromisoformat(content.get("completed_at") or "").astimezone(UTC)
    attempt = number if isinstance(number, int) and not isinstance(number, bool) else 1
    return at, EventRecord("settled", data, source, task_id, attempt)


def _kinds(attention: object) -> list[str]:
    needs: list[Any] = attention if isinstance(attention, list) else []  # pyright: ignore[reportUnknownVariableType]
    return [need["kind"] for need in needs if isinstance(need, dict) and isinstance(need.get("kind"), str)]  # pyright: ignore[reportUnknownMemberType]


def _results_in(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    yield folder / entry.name
    except FileNotFoundError:
        return


def _record(event: LoggedEvent) -> EventRecord:
    return EventRecord(event.type, event.data, event.source, event.task_id, event.attempt)
