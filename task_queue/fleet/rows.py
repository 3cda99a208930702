"""The tasks of a source as rows: what an intake host brings in, and what it owes to the folder they came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg.rows import TupleRow

from task_queue.domain.document import naming
from task_queue.domain.model import Claim, Journal
from task_queue.domain.peers import LEASE_S
from task_queue.domain.task import ENDED, TaskId, TaskState
from task_queue.fleet.database import Cursor, Database
from task_queue.fleet.handed_in import forget_files
from task_queue.platform.records import decode, encode
from task_queue.ports.fleet import WorkBase

_COLUMNS: LiteralString = (
    "id, name, record, state, document, journal, revision, host, life, claim, "
    "result, report, cancelled, intake"
)
_TO_SHOW: LiteralString = "intake = %(host)s AND shown IS DISTINCT FROM revision"


@dataclass(frozen=True, slots=True)
class TaskRow:
    id: int
    name: TaskId
    record: TaskId
    state: TaskState
    document: bytes
    journal: Journal | None
    revision: int
    host: str | None
    """Of one that runs; ``claim`` likewise."""
    life: int | None
    claim: Claim | None
    result: str | None
    report: str
    cancelled: bool
    intake: str | None


@dataclass(frozen=True, slots=True)
class Glance:
    """How a source stands in the tables, as far as its host looks at that each time."""

    to_show: list[TaskRow]
    """Of its folder, which does not say yet how they stand."""
    waiting_here: list[TaskId]
    """Of those that were asked for: see ``SourceRows.waiting_here``."""
    to_cancel: list[tuple[TaskId, str | None]]
    """Names of tasks that run here and are not to go on, and the hosts that they came in by."""
    is_free: bool
    is_draining: bool


class SourceRows:
    """Of *source*, as *host* sees it. Every method is one transaction."""

    def __init__(self, database: Database, source: str, host: str) -> None:
        self._database, self._source, self._host = database, source, host

    def glance(self, life: int, names: Collection[TaskId] | None, *, slots: int, host_slots: int) -> Glance:
        """*names*: as in ``waiting_here``; *slots*, *host_slots*: as in ``is_free``."""
        with self._database.transaction() as cursor:
            to_show = self._rows_in(cursor, _TO_SHOW)
            waiting = self._waiting_here(cursor, names)
            cursor.execute(
                "SELECT name, intake FROM task WHERE source = %s AND host = %s AND life = %s "
                "AND state = 'running' AND cancelled",
                [self._source, self._host, life],
            )
            to_cancel = [(TaskId(name), intake) for name, intake in cursor.fetchall()]
            is_free, is_draining = self._room(cursor, life, slots=slots, host_slots=host_slots)
        return Glance(to_show, waiting, to_cancel, is_free, is_draining)

    def to_show(self) -> list[TaskRow]:
        """Those of this host whose folder does not say yet how they stand."""
        return self._rows(_TO_SHOW)

    def note_shown(self, row: TaskRow) -> None:
        """Unless it has moved on since."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE task SET shown = revision WHERE id = %s AND revision = %s", [row.id, row.revision]
            )
            if row.state in ENDED:
                forget_files(cursor, {"source": self._source, "host": self._host, "task": row.name})
                cursor.execute(
                    "DELETE FROM bundle WHERE source = %s AND record = %s", [self._source, row.record]
                )

    def last_host(self, record: TaskId) -> str | None:
        """Who began its last attempt."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "SELECT host FROM attempt WHERE source = %s AND record = %s ORDER BY number DESC LIMIT 1",
                [self._source, record],
            )
            row = cursor.fetchone()
        return None if row is None else row[0]

    def waiting_here(self, names: Collection[TaskId] | None) -> list[TaskId]:
        """Those of *names* in this host's folder, or of all if None, that wait, as far as the folder says so, too."""
        with self._database.transaction() as cursor:
            return self._waiting_here(cursor, names)

    def _waiting_here(self, cursor: Cursor, names: Collection[TaskId] | None) -> list[TaskId]:
        if names is not None and not names:
            return []
        cursor.execute(
            "SELECT name FROM task WHERE source = %s AND intake = %s AND state = 'pending' AND shown = revision"
            + ("" if names is None else " AND name = ANY(%s)"),
            [self._source, self._host, *([] if names is None else [list(names)])],
        )
        return [TaskId(name) for (name,) in cursor.fetchall()]

    def open_row(self, name: TaskId) -> TaskRow | None:
        """The one that waits or runs under *name*, or of which its folder does not say yet how it ended."""
        rows = self._rows(
            "name = %(name)s AND (state IN ('pending', 'running') "
            "OR intake IS NOT NULL AND shown IS DISTINCT FROM revision)",
            name=name,
        )
        return rows[0] if rows else None

    def row_of(self, record: TaskId) -> TaskRow | None:
        rows = self._rows("record = %(record)s", record=record)
        return rows[0] if rows else None

    def running_of(self, life: int) -> list[tuple[TaskRow, bool]]:
        """Those that are this host's to carry out in that life, each with whether the host began it itself."""
        with self._database.transaction() as cursor:
            mine = self._rows_in(
                cursor, "state = 'running' AND host = %(host)s AND life = %(life)s", life=life
            )
            if not mine:
                return []
            cursor.execute(
                "SELECT record, number FROM attempt WHERE source = %s AND host = %s AND record = ANY(%s)",
                [self._source, self._host, [row.record for row in mine]],
            )
            begun = set(cursor.fetchall())
        return [(row, (row.record, row.claim.attempt if row.claim else 0) in begun) for row in mine]

    def known(self, records: Collection[TaskId]) -> set[TaskId]:
        """Which of *records* there are."""
        if not records:
            return set()
        with self._database.transaction() as cursor:
            cursor.execute(
                "SELECT record FROM task WHERE source = %s AND record = ANY(%s)",
                [self._source, list(records)],
            )
            return {TaskId(record) for (record,) in cursor.fetchall()}

    def is_free(self, life: int, *, slots: int, host_slots: int) -> bool:
        """Whether the source, and this host, may have one more claim; False where a person drains the host."""
        with self._database.transaction() as cursor:
            return self._room(cursor, life, slots=slots, host_slots=host_slots)[0]

    def _room(self, cursor: Cursor, life: int, *, slots: int, host_slots: int) -> tuple[bool, bool]:
        """``is_free``, and whether a person drains the host."""
        cursor.execute(
            "SELECT room AND NOT coalesce(draining, false), coalesce(draining, false) FROM (SELECT "
            "count(*) FILTER (WHERE source = %(source)s) < %(slots)s "
            "AND count(*) FILTER (WHERE host = %(host)s AND life = %(life)s) < %(host_slots)s "
            # The next task builds on what the last one committed, once that is where it came in.
            "AND NOT EXISTS (SELECT 1 FROM bundle JOIN task AS ended USING (source, record) "
            "JOIN host ON host.name = ended.intake WHERE source = %(source)s "
            "AND ended.state IN ('completed', 'failed') AND host.heard_at > clock_timestamp() "
            "- make_interval(secs => %(lease)s)) AS room, "
            "(SELECT draining FROM host WHERE name = %(host)s) AS draining FROM task WHERE state = 'running') AS known",
            {
                "source": self._source,
                "host": self._host,
                "life": life,
                "slots": slots,
                "host_slots": host_slots,
                "lease": LEASE_S,
            },
        )
        ((is_free, is_draining),) = cursor.fetchall()
        return bool(is_free), bool(is_draining)

    def bring_in(self, name: TaskId, document: bytes, journal: Journal | None, free_record: TaskId) -> None:
        """Let a task of this host's folder wait; one that a person tries again waits anew. Idempotent.

        *free_record*: under which its result would be kept in the folder.
        """
        values = {
            "source": self._source,
            "host": self._host,
            "name": name,
            "document": document,
            "journal": None if journal is None else encode(journal).decode(),
        }
        with self._database.transaction() as cursor:
            if journal is not None and _bring_back(cursor, {**values, "record": journal.task_id}):
                return
            record = journal.task_id if journal is not None else _free_of(cursor, self._source, free_record)
            cursor.execute(
                "INSERT INTO task (source, name, record, document, journal, intake, shown) "
                "VALUES (%(source)s, %(name)s, %(record)s, %(document)s, %(journal)s, %(host)s, 1) "
                "ON CONFLICT DO NOTHING",
                {**values, "record": record},
            )

    def change(self, row: TaskRow, document: bytes, journal: Journal | None) -> None:
        """A person changed what waits in the folder."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE task SET document = %s, journal = %s, revision = revision + 1, shown = revision + 1, "
                "changed_at = now() WHERE id = %s AND revision = %s AND shown = revision AND state = 'pending'",
                [document, None if journal is None else encode(journal).decode(), row.id, row.revision],
            )

    def take_out(self, name: TaskId) -> None:
        """A person took it out of the folder while it waited; what is known of its attempts goes with it."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "SELECT id, record FROM task WHERE source = %s AND name = %s AND intake = %s AND state = 'pending' "
                "AND shown = revision FOR UPDATE",
                [self._source, name, self._host],
            )
            for row_id, record in cursor.fetchall():
                for table in ("frame", "attempt"):
                    cursor.execute(
                        f"DELETE FROM {table} WHERE source = %s AND record = %s".encode(),
                        [self._source, record],
                    )
                cursor.execute("DELETE FROM task WHERE id = %s", [row_id])
                forget_files(cursor, {"source": self._source, "host": self._host, "task": name})

    def publish_base(self, base: WorkBase) -> None:
        """What tasks that came in here begin with."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO base (source, host, commit, known, content) VALUES (%s, %s, %s, %s, %s) "
                "ON CONFLICT (source, host) DO UPDATE SET commit = excluded.commit, known = excluded.known, "
                "content = excluded.content",
                [self._source, self._host, base.commit, base.known, base.bundle],
            )

    def base_of(self, host: str | None) -> WorkBase | None:
        with self._database.transaction() as cursor:
            cursor.execute(
                "SELECT commit, known, content FROM base WHERE source = %s AND host = %s",
                [self._source, host],
            )
            row = cursor.fetchone()
        return None if row is None else WorkBase(row[0], row[1], None if row[2] is None else bytes(row[2]))

    def keep_bundle(self, record: TaskId, bundle: bytes | None) -> None:
        """What a guest committed, for the host that it came in by."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO bundle (source, record, content) VALUES (%s, %s, %s) "
                "ON CONFLICT (source, record) DO UPDATE SET content = excluded.content",
                [self._source, record, bundle],
            )

    def bundle_of(self, record: TaskId) -> bytes | None:
        with self._database.transaction() as cursor:
            cursor.execute(
                "SELECT content FROM bundle WHERE source = %s AND record = %s", [self._source, record]
            )
            row = cursor.fetchone()
        return None if row is None or row[0] is None else bytes(row[0])

    def cancel(self, names: Sequence[TaskId]) -> None:
        """Those of them that wait or run, of this host's folder."""
        if not names:
            return
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE task SET cancelled = true, revision = revision + 1 WHERE source = %s AND intake = %s "
                "AND name = ANY(%s) AND state IN ('pending', 'running') AND NOT cancelled",
                [self._source, self._host, list(names)],
            )

    def _rows(self, where: LiteralString, **values: object) -> list[TaskRow]:
        with self._database.transaction() as cursor:
            return self._rows_in(cursor, where, **values)

    def _rows_in(self, cursor: Cursor, where: LiteralString, **values: object) -> list[TaskRow]:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM task WHERE source = %(source)s AND {where} ORDER BY id".encode(),
            {"source": self._source, "host": self._host, **values},
        )
        return [_row(each) for each in cursor.fetchall()]


def state_of(database: Database, task_id: TaskId) -> TaskState | None:
    """Of a task of any source; of several that were dropped as *task_id* the last counts."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT state FROM task WHERE name = %(id)s OR record = %(id)s "
            "ORDER BY record = %(id)s AND name <> %(id)s, id DESC LIMIT 1",
            {"id": task_id},
        )
        row = cursor.fetchone()
    return None if row is None else TaskState(row[0])


def _bring_back(cursor: Cursor, values: Mapping[str, object]) -> bool:
    """Whether it has ended before, and now waits again."""
    cursor.execute(
        "INSERT INTO kept (source, record, kind, content) SELECT source, record, 'result', result FROM task "
        "WHERE source = %(source)s AND record = %(record)s AND state IN ('failed', 'completed')",
        values,
    )
    try:
        with cursor.connection.transaction():
            cursor.execute(
                "UPDATE task SET state = 'pending', name = %(name)s, document = %(document)s, journal = %(journal)s, "
                "result = NULL, report = NULL, cancelled = false, changed_at = now(), intake = %(host)s, "
                "revision = revision + 1, shown = revision + 1 "
                "WHERE source = %(source)s AND record = %(record)s AND state IN ('failed', 'completed')",
                values,
            )
    except psycopg.errors.UniqueViolation:  # one of that name waits already
        return True
    return bool(cursor.rowcount)


def _free_of(cursor: Cursor, source: str, record: TaskId) -> TaskId:
    candidate, number = record, 1
    while True:
        cursor.execute("SELECT 1 FROM task WHERE source = %s AND record = %s", [source, candidate])
        if cursor.fetchone() is None:
            return candidate
        number += 1
        candidate = naming.numbered(naming.unnumbered(record), number)


def _row(columns: TupleRow) -> TaskRow:
    row_id, name, record, state, document, journal, revision, host, life, claim, result, report, *rest = (
        columns
    )
    cancelled, intake = rest
    return TaskRow(
        row_id,
        TaskId(name),
        TaskId(record or name),
        TaskState(state),
        bytes(document or b""),
        None if journal is None else decode(Journal, journal.encode()),
        revision,
        host,
        life,
        None if claim is None else decode(Claim, claim.encode()),
        result,
        bytes(report or b"").decode(errors="replace"),
        cancelled,
        intake,
    )
