"""What waits in a source. A document is fetched and read once for each of its revisions, not at each look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from task_queue.fleet.database import Cursor
from task_queue.fleet.held import HeldSource
from task_queue.fleet.keyed import duplicates_among
from task_queue.platform.records import decode
from task_queue.ports.snapshot import Survey

_SENT_BACK = {OutcomeKind.LIMITED, OutcomeKind.ACCOUNT, OutcomeKind.UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class _ReadDocument:
    revision: int
    changed_at: datetime
    waiting: Waiting | None = None
    rejected: str = ""


class FleetSnapshot:
    """Implements ports.snapshot.Snapshot."""

    def __init__(self, held: HeldSource) -> None:
        self._held = held
        self._layers = held.layers()
        self._read: dict[TaskId, _ReadDocument] = {}
        self._backlog = Backlog()
        self._seen: set[TaskId] | None = None
        self._duplicates: Mapping[TaskId, str] = {}
        """And why they are."""

    def touch(self) -> None:
        """It looks at everything each time."""

    def survey(self) -> Survey:
        layers = self._held.layers()
        if layers != self._layers:
            self._layers, self._read, self._backlog = layers, {}, Backlog()
        with self._held.database.transaction() as cursor:
            cursor.execute(
                "SELECT name, revision, state = 'running', cancelled FROM task WHERE source = %(source)s "
                "AND (state = 'pending' OR state = 'running' AND host = %(host)s AND life = %(life)s)",
                {"source": self._held.id, "host": self._held.owner.host, "life": self._held.owner.life},
            )
            rows: list[tuple[TaskId, int, bool, bool]] = cursor.fetchall()
            waits = {name: revision for name, revision, runs, cancelled in rows if not (runs or cancelled)}
            for gone in self._read.keys() - waits.keys():
                del self._read[gone]
                self._backlog.discard(gone)
            unread = [
                name
                for name, revision in waits.items()
                if name not in self._read or self._read[name].revision != revision
            ]
            for name, read in self._read_documents(cursor, unread).items():
                self._read[name] = read
                if read.waiting is None:
                    self._backlog.discard(name)
                else:
                    self._backlog.put(read.waiting)
            self._set_duplicates(duplicates_among(cursor, self._held.id, self._waiting()))
        self._backlog.all_moved()  # another source, or host, may have ended what a task depends on
        return self._survey_of(rows)

    def _waiting(self) -> Iterator[Waiting]:
        return (read.waiting for read in self._read.values() if read.waiting is not None)

    def _set_duplicates(self, found: Mapping[TaskId, str]) -> None:
        for name in self._duplicates.keys() - found.keys():
            read = self._read.get(name)
            if read is not None and read.waiting is not None:
                self._backlog.put(read.waiting)
        for name in found:
            self._backlog.discard(name)
        self._duplicates = found

    def changed_ns(self, task_id: TaskId) -> int:
        found = self._read.get(task_id)
        return 0 if found is None else int(found.changed_at.timestamp() * 1e9)

    def state_of(self, task_id: TaskId) -> TaskState | None:
        with self._held.database.transaction() as cursor:
            return state_in(cursor, self._held.id, task_id)

    def _survey_of(self, rows: list[tuple[TaskId, int, bool, bool]]) -> Survey:
        before, self._seen = self._seen, {name for name, *_ in rows}
        return Survey(
            self._backlog,
            (
                *((name, read.rejected) for name, read in self._read.items() if read.waiting is None),
                *self._duplicates.items(),
            ),
            cancelled=tuple(name for name, _, runs, cancelled in rows if cancelled and not runs),
            locks=tuple(naming.lock_of(naming.document_of(name)) for name, _, runs, _ in rows if runs),
            dropped=tuple(name for name, _, runs, _ in rows if not runs and name not in (before or set())),
        )

    def _read_documents(self, cursor: Cursor, names: list[TaskId]) -> dict[TaskId, _ReadDocument]:
        if not names:
            return {}
        cursor.execute(
            "SELECT name, revision, changed_at, dropped_at, document, journal FROM task "
            "WHERE source = %s AND state = 'pending' AND name = ANY(%s)",
            [self._held.id, names],
        )
        return {
            name: _read(
                self._layers,
                TaskId(name),
                bytes(document),
                at=_ReadDocument(revision, changed_at),
                dropped_at=naming.dropped_at(naming.document_of(name), written_at=dropped_at),
                history=NEVER_TRIED if journal is None else _history_in(decode(Journal, journal.encode())),
            )
            for name, revision, changed_at, dropped_at, document, journal in cursor.fetchall()
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
        return _ReadDocument(at.revision, at.changed_at, rejected=error.in_full)
    waiting = waiting_for(
        task, settings, dropped_at=dropped_at, history=history, lacks=lacks, ageing=layers.ageing
    )
    return _ReadDocument(at.revision, at.changed_at, waiting)


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
