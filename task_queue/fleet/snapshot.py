"""What waits in a source. A look reads the tasks that changed since the last one, however many wait.

A number that grows with each change would not do: it is given out before its transaction is over. So each row has the
transaction that wrote it last, and a look goes back to the oldest one that was still open when the last look began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile

from task_queue.domain.attempt.retry import Delay
from task_queue.domain.document import naming
from task_queue.domain.document.backlog import Backlog
from task_queue.domain.document.layers import Layers, task_under
from task_queue.domain.document.ordering import MOST_PAUSED, NEVER_TRIED, History, Waiting, waiting_for
from task_queue.domain.document.taskfile import parse
from task_queue.domain.errors import NotConfiguredError, TaskFileError
from task_queue.domain.model import Journal, OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.cycles import closing_among, note_dependencies
from task_queue.fleet.database import Cursor
from task_queue.fleet.held import HeldSource
from task_queue.fleet.keyed import duplicates_among
from task_queue.platform.records import decode
from task_queue.ports.snapshot import Survey

_CHANGED = "changed BETWEEN %(since)s::xid8 AND pg_snapshot_xmax(pg_current_snapshot())"
"""Of all sources: a task may depend on one of another. The upper bound excludes nothing; without statistics the planner
takes a range with two ends for a small one."""
_SENT_BACK = {OutcomeKind.LIMITED, OutcomeKind.ACCOUNT, OutcomeKind.UNAVAILABLE}


_START = "0"


@dataclass(frozen=True, slots=True)
class _ReadDocument:
    revision: int
    changed_at: datetime
    noted: tuple[TaskId, ...] = ()
    """What its row says that it depends on."""
    waiting: Waiting | None = None
    rejected: str = ""

    @property
    def depends_on(self) -> tuple[TaskId, ...]:
        return () if self.waiting is None else self.waiting.depends_on


@dataclass(frozen=True, slots=True)
class _OpenTask:
    """One that waits, or that this host runs."""

    name: TaskId
    revision: int
    runs: bool
    cancelled: bool

    @property
    def waits(self) -> bool:
        return not (self.runs or self.cancelled)


class FleetSnapshot:
    """Implements ports.snapshot.Snapshot."""

    def __init__(self, held: HeldSource) -> None:
        self._held = held
        self._layers = held.layers()
        self._known: frozenset[int] = frozenset()
        """Rows that were there before all documents have to be read again."""
        self._all_may_have_moved = False
        self._forget()

    def _forget(self) -> None:
        self._since = _START
        """The oldest transaction that was open when the last look began."""
        self._open: dict[int, _OpenTask] = {}
        """By row."""
        self._apart: dict[int, _OpenTask] = {}
        """Of those the ones that run or are to be cancelled."""
        self._read: dict[TaskId, _ReadDocument] = {}
        self._rejected: dict[TaskId, str] = {}
        self._keyed: dict[TaskId, Waiting] = {}
        self._dependent: set[TaskId] = set()
        """Those that depend on others."""
        self._unnoted: dict[TaskId, tuple[TaskId, ...]] = {}
        """What tasks depend on whose rows do not say so yet."""
        self._graph_moved = False
        """Some task that depends on others, of whichever source, is another one or has ended."""
        self._closing: Mapping[TaskId, str] = {}
        """Those that closed a cycle, and why they did."""
        self._barred: Mapping[TaskId, str] = {}
        """Why tasks are to be rejected although their documents are well."""
        self._backlog = Backlog()

    def touch(self) -> None:
        """What its tasks depend on may have moved where the tables do not say so: in a source that is a folder."""
        self._all_may_have_moved = True

    def may_be_moved_by(self, names: Iterable[TaskId]) -> bool:
        """Whether a change of tasks with these *names*, in other sources, may concern what waits. For any thread."""
        return bool(self._keyed) or any(map(self._backlog.depends_on, names))

    def survey(self) -> Survey:
        layers = self._held.layers()
        if layers != self._layers:
            self._layers, self._known = layers, frozenset(self._open)
            self._forget()
        with self._held.database.transaction() as cursor:
            dropped = self._look_at_changes(cursor)
            duplicates = self._duplicates(cursor)
        if self._unnoted or self._graph_moved:
            with self._held.database.transaction() as cursor:
                note_dependencies(cursor, self._held.id, self._unnoted)
                self._closing = closing_among(cursor, self._held.id, self._dependent)
                duplicates = self._duplicates(cursor)
            self._unnoted, self._graph_moved = {}, False
        self._bar({**duplicates, **self._closing})
        if self._all_may_have_moved:
            self._backlog.all_moved()
        self._all_may_have_moved = False
        apart = list(self._apart.values())
        return Survey(
            self._backlog,
            (*self._rejected.items(), *self._barred.items()),
            cancelled=tuple(task.name for task in apart if task.cancelled and not task.runs),
            locks=tuple(naming.lock_of(naming.document_of(task.name)) for task in apart if task.runs),
            dropped=dropped,
        )

    def _look_at_changes(self, cursor: Cursor) -> tuple[TaskId, ...]:
        """Those that were not there before."""
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
        ((since,),) = cursor.fetchall()
        appeared: list[TaskId] = []
        unread: list[int] = []
        for row, task in self._changes(cursor):
            before = self._open.pop(row, None)
            self._apart.pop(row, None)
            if before is not None and (task is None or not task.waits):
                self._forget_document(before.name)
            if task is None:
                continue
            self._open[row] = task
            if not task.waits:
                self._apart[row] = task
            elif task.name not in self._read or self._read[task.name].revision != task.revision:
                unread.append(row)
            if before is None and row not in self._known and not task.runs:
                appeared.append(task.name)
        for name, read in self._read_documents(cursor, unread).items():
            self._take_in(name, read)
        self._since, self._known = since, frozenset()
        return tuple(appeared)

    def _changes(self, cursor: Cursor) -> list[tuple[int, _OpenTask | None]]:
        """Of this source: rows and what they are now, None if neither wait nor run here; those that are over first."""
        changes: list[tuple[int, _OpenTask | None]] = []
        if self._since != _START:
            cursor.execute(
                "SELECT task FROM gone WHERE xid BETWEEN %s::xid8 AND pg_snapshot_xmax(pg_current_snapshot())",
                [self._since],
            )
            changes += [(row, None) for (row,) in cursor.fetchall()]
        cursor.execute(
            "SELECT id, source, name, record, revision, cancelled, depends_on IS NOT NULL, "
            "state = 'pending' AND move IS NULL, "
            "state = 'running' AND host = %(host)s AND life = %(life)s FROM task WHERE "
            + (
                "source = %(source)s AND state IN ('pending', 'running')"
                if self._since == _START
                else _CHANGED
            )
            + " ORDER BY state IN ('pending', 'running'), id",
            {
                "source": self._held.id,
                "since": self._since,
                "host": self._held.owner.host,
                "life": self._held.owner.life,
            },
        )
        for row, source, name, record, revision, cancelled, depends, pends, runs in cursor.fetchall():
            self._graph_moved = self._graph_moved or depends or bool(self._closing)
            self._backlog.moved(TaskId(name))
            if record is not None:
                self._backlog.moved(TaskId(record))
            if source == self._held.id:
                task = _OpenTask(TaskId(name), revision, runs, cancelled) if pends or runs else None
                changes.append((row, task))
        return changes

    def _take_in(self, name: TaskId, read: _ReadDocument) -> None:
        self._forget_document(name)
        self._read[name] = read
        if read.depends_on != read.noted:
            self._unnoted[name] = read.depends_on
        if read.waiting is None:
            self._rejected[name] = read.rejected
            return
        self._backlog.put(read.waiting)
        if read.waiting.key is not None:
            self._keyed[name] = read.waiting
        if read.depends_on:
            self._dependent.add(name)

    def _forget_document(self, name: TaskId) -> None:
        self._read.pop(name, None)
        self._rejected.pop(name, None)
        self._keyed.pop(name, None)
        self._dependent.discard(name)
        self._backlog.discard(name)

    def _duplicates(self, cursor: Cursor) -> Mapping[TaskId, str]:
        """Of those that stay: who closed a cycle keeps no other."""
        staying = [task for name, task in self._keyed.items() if name not in self._closing]
        return duplicates_among(cursor, self._held.id, staying)

    def _bar(self, found: Mapping[TaskId, str]) -> None:
        for name in self._barred.keys() - found.keys():
            read = self._read.get(name)
            if read is not None and read.waiting is not None:
                self._backlog.put(read.waiting)
        for name in found:
            self._backlog.discard(name)
        self._barred = found

    def changed_ns(self, task_id: TaskId) -> int:
        found = self._read.get(task_id)
        return 0 if found is None else int(found.changed_at.timestamp() * 1e9)

    def state_of(self, task_id: TaskId) -> TaskState | None:
        with self._held.database.transaction() as cursor:
            return state_in(cursor, self._held.id, task_id)

    def _read_documents(self, cursor: Cursor, rows: list[int]) -> dict[TaskId, _ReadDocument]:
        if not rows:
            return {}
        cursor.execute(
            "SELECT name, revision, changed_at, depends_on, dropped_at, document, journal FROM task "
            "WHERE state = 'pending' AND id = ANY(%s)",
            [rows],
        )
        return {
            name: _read(
                self._layers,
                TaskId(name),
                bytes(document),
                at=_ReadDocument(revision, changed_at, tuple(map(TaskId, depends_on or ()))),
                dropped_at=naming.dropped_at(naming.document_of(name), written_at=dropped_at),
                history=NEVER_TRIED if journal is None else _history_in(decode(Journal, journal.encode())),
            )
            for name, revision, changed_at, depends_on, dropped_at, document, journal in cursor.fetchall()
        }


def state_in(cursor: Cursor, source: str, task_id: TaskId) -> TaskState | None:
    """Of a task that was dropped as *task_id* the last counts; of a numbered record, that one."""
    cursor.execute(
        "SELECT state FROM task WHERE source = %(source)s AND (name = %(id)s OR record = %(id)s) "
        "ORDER BY record = %(id)s AND name <> %(id)s, id DESC LIMIT 1",
        {"source": source, "id": task_id},
    )
    row = cursor.fetchone()
    return None if row is None else TaskState(row[0])


def _read(
    layers: Layers, task_id: TaskId, data: bytes, *, at: _ReadDocument, dropped_at: datetime, history: History
) -> _ReadDocument:
    lacks = ""
    try:
        try:
            task, settings = task_under(layers, data, task_id)
        except NotConfiguredError as error:
            task, lacks = parse(data, task_id), error.in_full
            settings = layers.known_settings_of(task.given)
    except TaskFileError as error:
        return replace(at, rejected=error.in_full)
    waiting = waiting_for(
        task, settings, dropped_at=dropped_at, history=history, lacks=lacks, ageing=layers.ageing
    )
    return replace(at, waiting=waiting)


def _history_in(journal: Journal) -> History:
    last, until = journal.attempts[-1:], journal.not_before
    sent_back = sum(1 for _ in takewhile(lambda each: each.outcome in _SENT_BACK, reversed(journal.attempts)))
    return History(
        tries=len(journal.attempts),
        counted=sum(attempt.counted for attempt in journal.attempts),
        next_try=Delay(last[0].ended_at, until) if last and until is not None else None,
        # One that is unavailable for a cause of its own has a time to wait for.
        paused=0 if until is not None else min(MOST_PAUSED, sent_back),
        needs_person=journal.needs_person,
    )
