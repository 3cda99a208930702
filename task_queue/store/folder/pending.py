"""What lies in ``pending/``, kept in memory and looked at again only where something may have changed.

A full look costs one scan of the directory; between full looks only the names that an event or a step
of our own touched are looked at, so a folder with 100,000 waiting tasks costs no more per task than one
with ten.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.attempt.retry import delay_in
from task_queue.domain.document import naming
from task_queue.domain.document.ordering import Waiting, waiting_for
from task_queue.domain.document.settings import Settings
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import TaskFileError
from task_queue.domain.model import Journal
from task_queue.domain.task import Task, TaskId
from task_queue.platform.durable import read_regular
from task_queue.platform.records import UnreadableRecordError, decode
from task_queue.ports.store import Survey
from task_queue.store.folder.intake_check import (
    FileStamp,
    is_being_written,
    why_not_a_document,
)

EMPTY_IS_REJECTED_AFTER_S = 10.0
_UNSETTLED_POLL_S = 0.25
_ORPHANED_AFTER_S = 10.0
_GONE_OR_REPLACED = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTSUP, errno.ENXIO, errno.EACCES})
_SUFFIXES = (".lock", ".cancel", ".attempts.json")


@dataclass(slots=True)
class _Seen:
    """One document: how it looked, since when, and what it parsed to once it was complete."""

    stamp: FileStamp
    since: float
    waiting: Waiting | None = None
    rejected: str | None = None


@dataclass(slots=True)
class _Companions:
    """Which stems have a lock, a request to cancel, a journal beside them."""

    lock: set[str] = field(default_factory=set[str])
    cancel: set[str] = field(default_factory=set[str])
    journal: set[str] = field(default_factory=set[str])


class Pending:
    """Thread-safe in ``touch``, ``arrived`` and ``is_empty`` only; everything else belongs to the source's worker."""

    def __init__(
        self,
        folder: Path,
        *,
        settle_s: float,
        settings_of: Callable[[Task], Settings],
        monotonic: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._settings_of = settings_of
        self._settle_s = settle_s
        self._monotonic = monotonic
        self._guard = threading.Lock()
        self._touched: set[str] = set()
        self._arrived: set[str] = set()
        self._everything = True
        self._seen: dict[str, _Seen] = {}
        self._ignored: dict[str, str] = {}
        self._unsettled: set[str] = set()
        self._beside = _Companions()
        self._orphaned: dict[str, float] = {}

    def touch(self, name: str | None = None) -> None:
        """Look at *name* again at the next survey; at everything if None."""
        with self._guard:
            if name is None:
                self._everything = True
            else:
                self._touched.add(name)

    def arrived(self, name: str) -> None:
        """*name* came by rename, so it is complete at once unless somebody has it open for writing."""
        with self._guard:
            self._arrived.add(name)
            self._touched.add(name)

    def is_empty(self) -> bool:
        """Whether no file at all lies there; False too where that cannot be told."""
        try:
            with os.scandir(self._folder) as entries:
                return next(entries, None) is None
        except OSError:
            return False

    def survey(self) -> Survey:
        """Raises OSError if the folder cannot be read."""
        with self._guard:
            touched, self._touched = self._touched, set()
            arrived, self._arrived = self._arrived, set()
            everything, self._everything = self._everything, False
        try:
            if everything:
                self._look_at_everything(arrived)
            else:
                for name in touched | self._unsettled:
                    self._look_at(name, by_rename=name in arrived)
        except OSError:
            self.touch()
            raise
        return self._report()

    def stamp(self, document: str) -> FileStamp | None:
        seen = self._seen.get(document)
        return seen.stamp if seen else None

    def _look_at_everything(self, arrived: set[str]) -> None:
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries]
        present = set(names)
        for gone in self._seen.keys() - present:
            self._forget(gone)
        self._ignored = {name: why for name, why in self._ignored.items() if name in present}
        self._beside = _Companions()
        for name in names:
            if naming.is_private(name):
                self._note_companion(name, present=True)
        for name in names:
            if not naming.is_private(name):
                self._look_at(name, by_rename=name in arrived)

        self._note_orphans(names)

    def _note_orphans(self, names: list[str]) -> None:
        """Companions without a document or a claim, and since when: a person took the document away."""
        alone = (self._beside.journal | self._beside.cancel) - self._beside.lock
        if alone:
            alone -= {naming.key_of(naming.task_id_of(name)) for name in names}
        now = self._monotonic()
        self._orphaned = {stem: self._orphaned.get(stem, now) for stem in alone if stem.startswith("task-")}

    def orphans(self) -> tuple[str, ...]:
        """File names of companions whose document has been away for a while: they would hit the next of its name."""
        before = self._monotonic() - _ORPHANED_AFTER_S
        due = {stem for stem, since in self._orphaned.items() if since <= before}
        if due:
            due -= {naming.key_of(naming.task_id_of(name)) for name in self._seen}
        return tuple(
            f".{stem}{suffix}"
            for stem in due
            for suffix, stems in ((".cancel", self._beside.cancel), (".attempts.json", self._beside.journal))
            if stem in stems
        )

    def _look_at(self, name: str, *, by_rename: bool) -> None:
        path = self._folder / name
        if naming.is_private(name):
            self._note_companion(name, present=os.path.lexists(path))
            return
        try:
            about = path.lstat()
        except FileNotFoundError:
            self._forget(name)
            return
        why = naming.why_not_a_task(name) or why_not_a_document(about)
        if why is not None:
            self._forget(name)
            self._ignored[name] = why
            return
        self._ignored.pop(name, None)
        stamp, now = FileStamp.of(about), self._monotonic()
        seen = self._seen.get(name)
        if seen is None or seen.stamp != stamp:
            seen = self._seen[name] = _Seen(stamp, now)
        if seen.waiting is None and seen.rejected is None:
            self._examine(path, seen, quiet_s=self._settle_s if by_rename else now - seen.since)

    def _examine(self, path: Path, seen: _Seen, *, quiet_s: float) -> None:
        try:
            self._examine_open(path, seen, quiet_s=quiet_s)
        except OSError as error:
            if error.errno not in _GONE_OR_REPLACED:
                raise
            self._unsettled.add(path.name)

    def _examine_open(self, path: Path, seen: _Seen, *, quiet_s: float) -> None:
        needed = EMPTY_IS_REJECTED_AFTER_S if seen.stamp.size == 0 else self._settle_s
        if quiet_s < needed or is_being_written(path):
            self._unsettled.add(path.name)
            return
        self._unsettled.discard(path.name)
        task_id = naming.task_id_of(path.name)
        if seen.stamp.size > MAX_BYTES:
            seen.rejected = f"{seen.stamp.size:,} bytes are more than the limit of {MAX_BYTES:,}"
            return
        try:
            data, about = read_regular(path, limit=MAX_BYTES)
            if FileStamp.of(about) != seen.stamp:  # another file than the one that was judged
                self._unsettled.add(path.name)
                return
            task = parse(data, task_id)
            settings = self._settings_of(task)
        except TaskFileError as error:
            seen.rejected = f"{error} ({error.hint})" if error.hint else str(error)
            return
        dropped_at = naming.time_in(path.name) or datetime.fromtimestamp(seen.stamp.mtime_ns / 1e9, tz=UTC)
        seen.waiting = waiting_for(task, settings, dropped_at=dropped_at)

    def _report(self) -> Survey:
        waiting: list[Waiting] = []
        rejected: list[tuple[TaskId, str]] = []
        cancelled: list[TaskId] = []
        for name, seen in self._seen.items():
            task_id = naming.task_id_of(name)
            key = naming.key_of(task_id)
            if key in self._beside.lock:
                continue
            if seen.rejected is not None:
                rejected.append((task_id, seen.rejected))
            elif seen.waiting is not None:
                if key in self._beside.cancel:
                    cancelled.append(task_id)
                else:
                    waiting.append(self._with_next_try(name, key, seen.waiting))
        return Survey(
            waiting=tuple(waiting),
            rejected=tuple(rejected),
            ignored=tuple(sorted(self._ignored.items())),
            cancelled=tuple(cancelled),
            claimed=any(stem.startswith("task-") for stem in self._beside.lock),
            look_again_after=_UNSETTLED_POLL_S if self._unsettled else None,
        )

    def _with_next_try(self, name: str, key: str, waiting: Waiting) -> Waiting:
        if key not in self._beside.journal:
            return waiting
        try:
            data, _ = read_regular(self._folder / naming.journal_of(name), limit=MAX_BYTES)
            return replace(waiting, next_try=delay_in(decode(Journal, data)))
        except (OSError, UnreadableRecordError):
            return waiting  # the claim will say what is wrong with it

    def _note_companion(self, name: str, *, present: bool) -> None:
        for suffix, stems in zip(
            _SUFFIXES, (self._beside.lock, self._beside.cancel, self._beside.journal), strict=True
        ):
            if name.endswith(suffix):
                stem = name[1 : -len(suffix)]
                (stems.add if present else stems.discard)(stem)

    def _forget(self, name: str) -> None:
        self._seen.pop(name, None)
        self._ignored.pop(name, None)
        self._unsettled.discard(name)
