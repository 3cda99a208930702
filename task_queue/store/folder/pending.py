"""What ``pending/`` holds: the code by which the worker and every front end look at a document.

A front end looks once, at everything. For the worker it is kept in memory: a full look costs one scan of the
directory; between full looks only the names that an event or a step of the engine touched are looked at, so a
folder with 100,000 waiting tasks costs no more per task than one with ten.
"""

from __future__ import annotations

import errno
import heapq
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from task_queue.domain.document import naming
from task_queue.domain.document.backlog import Backlog
from task_queue.domain.document.duplicates import Keyed
from task_queue.domain.document.ordering import NEVER_TRIED, History, Waiting, under
from task_queue.domain.errors import TaskFileError
from task_queue.domain.task import TaskId
from task_queue.ports.snapshot import Survey
from task_queue.store.folder.companions import Companions
from task_queue.store.folder.intake_check import (
    FileStamp,
    is_being_written,
    why_not_a_document,
)
from task_queue.store.folder.layout import Layout
from task_queue.store.keyed_tasks import KeyedTasks

if TYPE_CHECKING:
    from task_queue.domain.document.cycles import CyclesOfSource
    from task_queue.domain.document.layers import Layers
    from task_queue.store.folder.reading import Reading

EMPTY_IS_REJECTED_AFTER_S = 10.0
_WRITTEN_POLL_S = 0.25
_LEAST_WAIT_S = 0.01
_GONE_OR_REPLACED = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTSUP, errno.ENXIO, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Settling:
    """When a document counts as complete: how long nothing must have changed it, by which clocks (seconds)."""

    settle_s: Callable[[], float] = lambda: 1.0
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class _Document:
    """One document: how it looked, and what it says once it is complete."""

    stamp: FileStamp
    waiting: Waiting | None = None
    given: Mapping[str, Any] | None = None
    rejected: str | None = None
    reported: bool = False
    """It, or an earlier text of it, was among those that a survey called dropped."""

    @property
    def is_read(self) -> bool:
        return self.waiting is not None or self.rejected is not None


@dataclass(slots=True)
class _Unsettled:
    """Documents that may still be written: since when each is known (monotonic), and when to look again."""

    since: dict[str, float] = field(default_factory=dict[str, float])
    due: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def look_again(self, name: str, at: float) -> None:
        heapq.heappush(self.due, (at, name))

    def forget(self, name: str) -> None:
        self.since.pop(name, None)

    def next_due(self) -> float | None:
        while self.due and self.due[0][1] not in self.since:
            heapq.heappop(self.due)
        return self.due[0][0] if self.due else None

    def take_due(self, now: float) -> set[str]:
        names: set[str] = set()
        while (due := self.next_due()) is not None and due <= now:
            names.add(heapq.heappop(self.due)[1])
        return names


class Pending:
    """Thread-safe in ``touch``, ``arrived``, ``moved``, ``ended`` and ``is_empty`` only; the rest is for one thread."""

    def __init__(
        self,
        folder: Path,
        *,
        layers: Callable[[], Layers],
        settling: Settling | None,
        cycles: CyclesOfSource | None = None,
        read_limit: int | None = None,
        source: str = "",
        keyed: KeyedTasks | None = None,
    ) -> None:
        """Without *settling* every document counts as complete; above *read_limit* names no document is read.

        *keyed* has the tasks of all sources with a ``dedupe_key``, of which this one is *source*. Without *cycles*
        tasks that depend on themselves wait for ever.
        """
        self._source = source
        self._keyed = KeyedTasks() if keyed is None else keyed
        self._folder = folder
        self._layers_of = layers
        self._layers: Layers | None = None
        """By which the documents were read; None before the first."""
        self._settling = settling
        self._cycles = cycles
        self._closing: Mapping[TaskId, str] = {}
        """Tasks that closed a cycle of dependencies, and why they are to be rejected for that."""
        self._monotonic = settling.monotonic if settling else time.monotonic
        self._read_limit = read_limit
        self._guard = threading.Lock()
        self._touched: set[str] = set()
        self._arrived: set[str] = set()
        self._moved: set[TaskId] = set()
        self._everything = True
        self._documents: dict[str, _Document] = {}
        self._shortened: dict[str, str] = {}
        """Documents whose names are too long for those of their companions, by the key of these."""
        self._unread: tuple[str, ...] = ()
        self._unsettled = _Unsettled()
        self._beside = Companions()
        self._backlog = Backlog()
        self._rejected: dict[TaskId, str] = {}
        self._cancelled: dict[TaskId, None] = {}
        self._ignored: dict[str, str] = {}
        self._ignored_sorted: tuple[tuple[str, str], ...] | None = ()
        self._dropped: list[TaskId] = []

    def touch(self, name: str | None = None) -> None:
        """Look at *name* again at the next survey; at everything if None."""
        with self._guard:
            if name is None:
                self._everything = True
            else:
                self._touched.add(name)

    def arrived(self, name: str) -> None:
        """*name* came by rename, so it is complete at once unless a process has it open for writing."""
        with self._guard:
            self._arrived.add(name)
            self._touched.add(name)

    def moved(self, task_id: TaskId) -> bool:
        """*task_id*, of whichever source, may have another state now; whether a task here depends on it."""
        if not self._backlog.depends_on(task_id):
            return False
        with self._guard:
            self._moved.add(task_id)
        return True

    def ended(self, document: str) -> None:
        """The task of *document* has its result: a later one with its ``dedupe_key`` may run."""
        self._keyed.end(self._source, naming.task_id_of(document))

    def is_empty(self) -> bool:
        """Whether the folder holds no file at all; False too where it cannot be read."""
        try:
            with os.scandir(self._folder) as entries:
                return next(entries, None) is None
        except OSError:
            return False

    def survey(self) -> Survey:
        """Raises OSError if the folder cannot be read."""
        self._use_layers()
        with self._guard:
            touched, self._touched = self._touched, set()
            arrived, self._arrived = self._arrived, set()
            moved, self._moved = self._moved, set()
            everything, self._everything = self._everything, False
        beside = self._beside
        try:
            if everything:
                self._look_at_everything(arrived)
            else:
                names = touched | self._unsettled.take_due(self._monotonic())
                for name in sorted(names, key=naming.is_private):  # documents first: one may be gone
                    self._look_at(name, by_rename=name in arrived)
        except OSError:
            self._beside = beside  # or the next full look would not notice what differs from it
            self.touch()
            raise
        for task_id in moved:
            self._backlog.moved(task_id)
        self._look_for_cycles()
        while changed := self._keyed.take_changed(self._source):
            for task_id in changed:
                self._place(naming.document_of(task_id))
        return self._report()

    def _look_for_cycles(self) -> None:
        if self._cycles is None:
            return
        closing = self._cycles.closing()
        if closing == self._closing:
            return
        changed = self._closing.keys() ^ closing.keys()
        self._closing = closing
        for task_id in changed:
            self._place(naming.document_of(task_id))

    def stamp(self, document: str) -> FileStamp | None:
        seen = self._documents.get(document)
        return seen.stamp if seen else None

    def orphans(self) -> tuple[str, ...]:
        """File names of companions whose document has been away for a while: they would hit the next of its name."""
        return self._beside.orphans(lambda key: self._document_of(key) is not None, self._monotonic())

    def _use_layers(self) -> None:
        """Other defaults may be in force now: what is known of each document is seen in their light."""
        if self._layers is None or (layers := self._layers_of()) is self._layers or layers == self._layers:
            return
        self._layers = layers
        if not self._documents:
            return
        from task_queue.store.folder.reading import settings_under  # where nothing waits, it is not needed

        for name, document in self._documents.items():
            if document.waiting is not None:
                try:
                    settings = settings_under(layers, document.given or {})
                    document.waiting = under(settings, document.waiting, ageing=layers.ageing)
                    self._place(name)
                    continue
                except TaskFileError:
                    pass  # read again, because the error names its line
            if document.is_read:
                document.waiting = document.rejected = None
                self._place(name)
                self.touch(name)

    def _look_at_everything(self, arrived: set[str]) -> None:
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries]
        before, self._beside = self._beside, Companions()
        documents: list[str] = []
        for name in names:
            if naming.is_private(name):
                self._beside.note(name, present=True)
            else:
                documents.append(name)
        self._beside.note_orphans(documents, before, self._monotonic())
        self._unread = ()
        if self._read_limit is not None and len(names) > self._read_limit:
            self._sort_names(documents)
            return
        present = set(documents)
        for gone in self._documents.keys() - present:
            self._forget(gone)
        for gone in self._ignored.keys() - present:
            self._ignore(gone, None)
        for name in documents:
            self._look_at(name, by_rename=name in arrived)
        for key in self._beside.differs_from(before):
            self._note_companions_of(key)
        self._backlog.all_moved()

    def _sort_names(self, names: list[str]) -> None:
        """Nothing but the names is looked at; and few things are done with each, because there may be 100,000."""
        unread: list[str] = []
        for name in names:
            why = naming.why_not_a_task(name)
            if why is None:
                unread.append(name)
            else:
                self._ignore(name, why)
        locked = self._beside.lock
        if locked:
            unread = [name for name in unread if naming.key_of(naming.task_id_of(name)) not in locked]
        self._unread = tuple(unread)

    def _look_at(self, name: str, *, by_rename: bool) -> None:
        path = f"{self._folder}/{name}"
        if naming.is_private(name):
            key = self._beside.note(name, present=os.path.lexists(path))
            if key is not None:
                self._note_companions_of(key)
            return
        try:
            about = os.lstat(path)
        except FileNotFoundError:
            self._forget(name)
            return
        why = naming.why_not_a_task(name) or why_not_a_document(about)
        if why is not None:
            self._forget(name)
            self._ignore(name, why)
            return
        self._ignore(name, None)
        stamp = FileStamp.of(about)
        seen = self._documents.get(name)
        if seen is None or seen.stamp != stamp:
            reported = seen is not None and seen.reported
            if seen is not None:
                self._forget(name)
            seen = self._add(name, stamp)
            seen.reported = reported
        if not seen.is_read:
            self._examine(name, seen, by_rename=by_rename)

    def _examine(self, name: str, seen: _Document, *, by_rename: bool) -> None:
        path = self._folder / name
        try:
            wait_s = self._wait_s(path, seen.stamp, by_rename=by_rename)
            if wait_s is None:
                reading = self._read(path, seen.stamp)
                if reading is not None:
                    self._unsettled.forget(name)
                    seen.waiting, seen.given, seen.rejected = reading.waiting, reading.given, reading.rejected
                    self._place(name)
                    self._note_dropped(name, seen)
                    return
        except OSError as error:
            if error.errno not in _GONE_OR_REPLACED:
                raise
            wait_s = None
        now = self._monotonic()
        self._unsettled.since.setdefault(name, now)
        self._unsettled.look_again(name, now + (_WRITTEN_POLL_S if wait_s is None else wait_s))

    def _note_dropped(self, name: str, seen: _Document) -> None:
        if seen.reported:
            return
        seen.reported = True
        task_id = naming.task_id_of(name) if seen.waiting is None else seen.waiting.id
        key = naming.key_of(task_id)
        if key not in self._beside.journal and key not in self._beside.lock:  # else it was claimed before
            self._dropped.append(task_id)

    def _read(self, path: Path, stamp: FileStamp) -> Reading | None:
        from task_queue.store.folder.reading import (
            read_document,  # where nothing waits, it is not needed: 10 ms
        )

        if self._layers is None:
            self._layers = self._layers_of()
        return read_document(path, stamp, self._layers, self._history_of(path.name))

    def _wait_s(self, path: Path, stamp: FileStamp, *, by_rename: bool) -> float | None:
        """For how long the document at *path* may still be written, None if it is complete. Raises OSError."""
        if self._settling is None:
            return None
        needed = EMPTY_IS_REJECTED_AFTER_S if stamp.size == 0 else self._settling.settle_s()
        quiet = self._settling.settle_s() if by_rename else self._quiet_s(path.name, stamp, needed)
        if quiet < needed:
            return max(needed - quiet, _WRITTEN_POLL_S)
        return _WRITTEN_POLL_S if is_being_written(path) else None

    def _quiet_s(self, name: str, stamp: FileStamp, needed: float) -> float:
        """For how long nothing changed the file, by its change time; where that is still to come, or too late
        to count, by how long it has been known."""
        assert self._settling is not None
        by_file = self._settling.wall() - stamp.ctime_ns / 1e9
        if by_file >= needed:
            return by_file
        now = self._monotonic()
        since = self._unsettled.since.setdefault(name, now)
        return max(now - since, min(by_file, needed) if by_file >= 0 else 0.0)

    def _history_of(self, name: str) -> History:
        """What the journal beside the document says."""
        if naming.key_of(naming.task_id_of(name)) not in self._beside.journal:
            return NEVER_TRIED
        from task_queue.store.folder.reading import read_history

        return read_history(self._folder / naming.journal_of(name))

    def _note_companions_of(self, key: str) -> None:
        """A lock, a request to cancel or a history came or went."""
        name = self._document_of(key)
        if name is None:
            return
        document = self._documents[name]
        if document.waiting is not None:
            document.waiting = document.waiting.tried(self._history_of(name))
        self._place(name)

    def _document_of(self, key: str) -> str | None:
        name = self._shortened.get(key) or naming.document_of(TaskId(key))
        return name if name in self._documents else None

    def _place(self, name: str) -> None:
        """Put the document where it belongs now: waiting, rejected, cancelled, or none of these."""
        task_id = naming.task_id_of(name)
        document = self._documents.get(name)
        key = naming.key_of(task_id)
        rejected = cancelled = waiting = None
        if document is not None and key not in self._beside.lock:
            rejected = document.rejected
            cancelled = document.waiting if key in self._beside.cancel else None
            waiting = document.waiting if cancelled is None else None
        closes = self._closing.get(task_id) if waiting is not None else None
        duplicate = self._why_duplicate(
            task_id, None if closes else document, locked=key in self._beside.lock
        )
        if (
            self._cycles is not None
        ):  # a duplicate, too: which tasks are duplicates depends on who closes a cycle
            if document is not None and waiting is not None and waiting.depends_on:
                self._cycles.put(task_id, waiting.depends_on, document.stamp.ctime_ns)
            else:
                self._cycles.discard(task_id)
        if waiting is not None and duplicate is not None:
            waiting, rejected = None, duplicate
        if closes is not None and waiting is not None:
            rejected, waiting = closes, None
        if waiting is not None:
            self._backlog.put(waiting)
        else:
            self._backlog.discard(task_id)
        if rejected is not None:
            self._rejected[task_id] = rejected
        else:
            self._rejected.pop(task_id, None)
        if cancelled is not None:
            self._cancelled[task_id] = None
        else:
            self._cancelled.pop(task_id, None)
        self._backlog.moved(task_id)

    def _why_duplicate(self, task_id: TaskId, document: _Document | None, *, locked: bool) -> str | None:
        """Of which task it is a duplicate, as far as the sources were looked at."""
        task = None if document is None else document.waiting
        cancelled = naming.key_of(task_id) in self._beside.cancel and not locked
        if task is None or task.key is None or cancelled:
            self._keyed.discard(self._source, task_id)
            return None
        runs = locked and self._is_carried_out(task_id)
        begun = task.tries > 0
        self._keyed.put(Keyed(self._source, task_id, task.key, task.dropped_at, runs=runs, begun=begun))
        return self._keyed.why_duplicate(self._source, task_id)

    def _is_carried_out(self, task_id: TaskId) -> bool:
        """Whether a runner began with it. A task is claimed, too, only to be rejected."""
        from task_queue.store.folder.reading import is_carried_out

        return is_carried_out(Layout(self._folder), naming.document_of(task_id))

    def _add(self, name: str, stamp: FileStamp) -> _Document:
        document = self._documents[name] = _Document(stamp)
        task_id = naming.task_id_of(name)
        key = naming.key_of(task_id)
        if key != task_id:
            self._shortened[key] = name
        self._backlog.moved(task_id)
        return document

    def _forget(self, name: str) -> None:
        self._ignore(name, None)
        self._unsettled.forget(name)
        if self._documents.pop(name, None) is not None:
            self._shortened.pop(naming.key_of(naming.task_id_of(name)), None)
            self._place(name)

    def _ignore(self, name: str, why: str | None) -> None:
        if self._ignored.get(name) == why:
            return
        if why is None:
            del self._ignored[name]
        else:
            self._ignored[name] = why
        self._ignored_sorted = None

    def _report(self) -> Survey:
        if self._ignored_sorted is None:
            self._ignored_sorted = tuple(sorted(self._ignored.items()))
        due = self._unsettled.next_due()
        dropped, self._dropped = self._dropped, []
        return Survey(
            waiting=self._backlog,
            rejected=tuple(self._rejected.items()),
            ignored=self._ignored_sorted,
            cancelled=tuple(self._cancelled),
            locks=self._beside.lock_names(),
            look_again_after=None if due is None else max(_LEAST_WAIT_S, due - self._monotonic()),
            unread=self._unread,
            dropped=tuple(dropped),
        )
