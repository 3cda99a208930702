"""Puts the tasks of schedules into ``pending/``: each due time once, whatever is killed and whenever.

The document is staged, then the ledger says what it is for, then it is moved, then the ledger says that it was. A
killed look is finished by the next one: what is still staged is moved; what is not was moved, wherever it is since.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from task_queue.domain import events
from task_queue.domain.document import naming
from task_queue.domain.errors import EngineUnavailable, TaskMovedOn, TaskQueueError
from task_queue.domain.events import Event
from task_queue.domain.schedule import ledger
from task_queue.domain.schedule.document import Schedule
from task_queue.domain.schedule.ledger import (
    ON_TIME,
    KnownSchedule,
    LedgerLine,
    Planned,
    Taken,
    UnfinishedTasks,
    decide,
)
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable
from task_queue.platform.lockfile import locked
from task_queue.store.folder.holding import held
from task_queue.store.folder.intake import drop
from task_queue.store.folder.intake_check import FileStamp
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.past_ends import past_end
from task_queue.store.folder.schedule_files import (
    LEDGER,
    BrokenSchedule,
    ScheduleFiles,
    UnreadableLedgerError,
    kept_in,
    read_ledger,
    why_no_schedules,
)

log = logging.getLogger(__name__)

_LOCK = ".lock"
_LOCK_PATIENCE_S = 5.0
_COMPACT_ABOVE = 2**18
_STAGED = ".schedule-"


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look came to."""

    next_due: datetime | None = None
    """The earliest time that is known to come."""
    arrived: tuple[TaskId, ...] = ()
    """Tasks that are in the queue since."""
    trouble: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why schedules cannot be used, by name; all of the source under an empty one."""


class Materialiser:
    """Of one source. For one thread; another process may have one, too."""

    def __init__(
        self,
        source: str,
        layout: Layout,
        *,
        is_taken: Callable[[str], bool],
        emit: Callable[[Event], None],
        settle_s: Callable[[], float] | None = None,
    ) -> None:
        """*is_taken* says of an id whether another source has a task of it."""
        self._source = source
        self._layout = layout
        self._is_taken = is_taken
        self._emit = emit
        self._files = ScheduleFiles(layout, settle_s=settle_s)
        self._book: _Book | None = None
        """As the last look left it."""
        self._was_broken: set[str] = set()
        """Schedules that could not be used at the last look."""
        self._looked = False
        self._served: set[str] = set()
        """Schedules that were usable at a look; not those whose files were still being written at the first one."""

    def look(self, now: datetime) -> Looked:
        """Do what is due at *now*. Raises OSError; what the ledger says is then still to be done."""
        book, self._book = self._book, None
        try:
            return self._look(now, book)
        except UnreadableLedgerError as error:
            return Looked(trouble={"": error.in_full})

    def _look(self, now: datetime, book: _Book | None) -> Looked:
        why = why_no_schedules(self._layout)
        if why is not None:
            return Looked(trouble={"": why})
        if not self._layout.schedules.is_dir():
            return Looked()
        found = self._files.look()
        usable = [each for each in found if isinstance(each, Schedule)]
        broken = {each.name: each.why for each in found if isinstance(each, BrokenSchedule)}
        if not usable and not broken and not (self._layout.schedules / LEDGER).exists():
            return Looked()
        trouble = dict(broken)
        with locked(self._layout.schedules / _LOCK, within_s=_LOCK_PATIENCE_S):
            if not self._looked:
                durable.sweep_temporaries(self._layout.schedules)
            if book is None or not book.is_current():
                book = _Book(self._layout)
            arrived = list(self._finish_open(book))
            for name, kept in book.kept.items():
                gone = name not in broken and all(each.name != name for each in usable)
                if gone and not kept.ended and not self._is_there(name):
                    book.add(ledger.ends(name))
            for schedule in usable:
                arrived += self._look_at(schedule, book, now)
                floor = book.kept[schedule.name].floor
                if floor - now > ON_TIME:
                    trouble[schedule.name] = (
                        f"nothing fires before {floor.astimezone():%Y-%m-%d %H:%M}: the clock was set back, and"
                        " it is not known any more which times fired before"
                    )
            self._clear_staging(book)
            book.compact()
            self._book = book
            times = [schedule.rule.next(max(now, book.kept[schedule.name].upto)) for schedule in usable]
        self._was_broken, self._looked = set(broken), True
        self._served |= {schedule.name for schedule in usable}
        return Looked(min((due for due in times if due is not None), default=None), tuple(arrived), trouble)

    def _is_there(self, name: str) -> bool:
        """Its file is there, and perhaps being written."""
        return os.path.lexists(self._layout.schedules / f"{name}.md")

    def _look_at(self, schedule: Schedule, book: _Book, now: datetime) -> Iterator[TaskId]:
        name, rule = schedule.name, schedule.rule
        kept = book.kept.get(name)
        if kept is None or kept.ended:
            book.add(ledger.begins(name, rule, since=now, why="it is new"))
        elif kept.rule != rule.name:
            book.add(ledger.begins(name, rule, since=now, why="its times were changed"))
        elif kept.upto - now > ON_TIME and kept.upto > kept.floor:
            book.add(ledger.begins(name, rule, since=now, why="the clock was set back"))
        kept = book.kept[name]
        decision = decide(
            rule,
            kept,
            name=name,
            now=now,
            cause=self._cause(name),
            unfinished=lambda: self._unfinished(kept),
            taken=Taken(lambda task_id: self._is_anywhere(TaskId(task_id)) or self._is_taken(task_id)),
        )
        if decision is None:
            return
        for planned in decision.planned:
            durable.make_directory(self._layout.staging)
            durable.replace(self._staged(name, planned.due), schedule.document.encode())
        book.add(ledger.decides(name, decision))
        for missed in decision.missed:
            self._emit(
                events.ScheduleMissed(self._source, name, missed.first, missed.last, missed.count, missed.why)
            )
        for skipped in decision.skipped:
            self._emit(events.ScheduleSkipped(self._source, name, skipped.due, skipped.why))
        yield from self._finish(name, decision.planned, book)

    def _cause(self, name: str) -> str:
        if name in self._was_broken:
            return "the schedule could not be used"
        return "the machine was suspended, or its clock was set" if name in self._served else "no daemon ran"

    def _finish_open(self, book: _Book) -> Iterator[TaskId]:
        for name, kept in list(book.kept.items()):
            yield from self._finish(name, list(kept.open.values()), book)

    def _finish(self, name: str, planned: Sequence[Planned], book: _Book) -> Iterator[TaskId]:
        for each in planned:
            task_id = self._moved(name, each, book)
            if task_id is None:
                why = "its document was removed from staging/ before it was in the queue"
                book.add(ledger.loses(name, each.due, why))
                self._emit(events.ScheduleMissed(self._source, name, each.due, each.due, 1, why))
                continue
            book.add(ledger.fires(name, each.due, task_id))
            self._emit(events.ScheduleFired(self._source, task_id, name, each.due, each.why))
            yield task_id

    def _moved(self, name: str, planned: Planned, book: _Book) -> TaskId | None:
        """The id under which the task is in the queue now; None if its document is nowhere."""
        staged, task_id = self._staged(name, planned.due), planned.task_id
        if not os.path.lexists(staged):
            return task_id if self._is_anywhere(task_id) else None
        for earlier in planned.replaces:
            self._cancel(earlier)
        while True:
            target = self._layout.pending / naming.document_of(task_id)
            try:
                durable.move(staged, target)
            except FileExistsError:
                if os.path.samestat(
                    staged.lstat(), target.lstat()
                ):  # a file system on which a move is two steps
                    durable.remove(staged)
                    return task_id
                task_id = Taken(
                    lambda other: self._is_anywhere(TaskId(other)) or self._is_taken(other)
                ).free_id(name, planned.due)
                book.add(ledger.renames(name, planned.due, task_id))
            else:
                return task_id

    def _cancel(self, task_id: TaskId) -> None:
        """Ask for the end of a task that waits; one that runs meanwhile goes on."""
        try:
            with held(self._layout, task_id), contextlib.suppress(FileExistsError):
                durable.publish(self._layout.cancel(naming.document_of(task_id)), b"{}\n")
        except TaskMovedOn:
            return
        except EngineUnavailable as error:
            log.warning("task not replaced source=%s task=%s error=%s", self._source, task_id, error)

    def _unfinished(self, kept: KnownSchedule) -> UnfinishedTasks:
        names = set(os.listdir(self._layout.pending))  # noqa: PTH208 - names only, and there may be many
        running: list[TaskId] = []
        waiting: list[TaskId] = []
        for task_id in kept.tasks:
            document = naming.document_of(task_id)
            if naming.lock_of(document) in names:
                running.append(task_id)
            elif document in names and naming.cancel_of(document) not in names:
                waiting.append(task_id)
        return UnfinishedTasks(tuple(running), tuple(waiting))

    def _is_anywhere(self, task_id: TaskId) -> bool:
        layout, document = self._layout, naming.document_of(task_id)
        folders = (layout.pending, layout.ended(TaskState.COMPLETED), layout.ended(TaskState.FAILED))
        paths = (layout.lock(document), layout.result(task_id), layout.log(task_id))
        there = any(map(os.path.lexists, (*(folder / document for folder in folders), *paths)))
        return there or past_end(layout, task_id) is not None

    def _staged(self, name: str, due: datetime) -> Path:
        """By the due time, because the id may still change."""
        return self._layout.staging / f"{_STAGED}{due:%Y%m%dT%H%M%S}-{name}"

    def _clear_staging(self, book: _Book) -> None:
        """Documents that were staged by a look that was killed before the ledger said what for."""
        try:
            names = os.listdir(self._layout.staging)  # noqa: PTH208 - names only
        except FileNotFoundError:
            return
        wanted = {self._staged(name, due).name for name, kept in book.kept.items() for due in kept.open}
        for name in names:
            if name.startswith(_STAGED) and name not in wanted:
                durable.remove(self._layout.staging / name)


class _Book:
    """The ledger while its lock is held."""

    def __init__(self, layout: Layout) -> None:
        """Raises UnreadableLedgerError, OSError."""
        self._path = layout.schedules / LEDGER
        read = read_ledger(layout)
        self.kept = kept_in(layout, read)
        self._size = read.size
        self._stamp: FileStamp | None = None
        if read.torn:  # by a power cut or a full disk, before anything was done on the strength of it
            durable.replace(self._path.with_name(f"{LEDGER}.torn"), read.torn)
            durable.replace(self._path, b"".join(map(_spelled, read.lines)))
        self._note_stamp()

    def is_current(self) -> bool:
        """Whether the file is still the one that this knows."""
        try:
            return self._stamp is not None and FileStamp.of(self._path.lstat()) == self._stamp
        except FileNotFoundError:
            return False

    def _note_stamp(self) -> None:
        try:
            self._stamp = FileStamp.of(self._path.lstat())
        except FileNotFoundError:
            self._stamp = None

    def add(self, line: LedgerLine) -> None:
        """Returns once the line would survive a power cut. Raises OSError."""
        data = _spelled(line)
        durable.append(self._path, data)
        ledger.apply(self.kept, line)
        self._size += len(data)
        self._note_stamp()

    def compact(self) -> None:
        if self._size > _COMPACT_ABOVE:
            data = b"".join(map(_spelled, ledger.compacted(self.kept)))
            durable.replace(self._path, data)
            self._size = len(data)
            self._stamp = None


def _spelled(line: Mapping[str, object]) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def run_now(layout: Layout, name: str, *, now: datetime, max_pending: int) -> TaskId:
    """Put a task of the schedule *name* into the queue, besides those that are due.

    Raises TaskQueueError if it cannot be used, QueueFull, EngineUnavailable.
    """
    try:
        why = why_no_schedules(layout)
        found = () if why is not None else ScheduleFiles(layout).look()
        schedule = next((each for each in found if each.name == name), None)
        if isinstance(schedule, BrokenSchedule):
            why = schedule.why
        if why is not None or not isinstance(schedule, Schedule):
            raise TaskQueueError(
                f"schedule '{name}' cannot be used: {why or 'its file is gone'}",
                hint="see: task-queue schedules list",
            )
        with locked(layout.schedules / _LOCK, within_s=_LOCK_PATIENCE_S):
            book = _Book(layout)
            kept = book.kept.get(name)
            if kept is None or kept.ended:
                book.add(ledger.begins(name, schedule.rule, since=now, why="it is new"))
            stem = Taken(lambda _: False).free_id(name, now)
            task_id = drop(
                layout.pending,
                schedule.document,
                name=naming.document_of(stem),
                now=now,
                max_pending=max_pending,
            )
            book.add(ledger.by_hand(name, task_id, now))
            return task_id
    except OSError as error:
        raise EngineUnavailable(f"{error.filename or layout.schedules}: {error.strerror or error}") from error
