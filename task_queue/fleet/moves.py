"""Tasks on their way between a folder and the fleet, as its tables know them.

A task that comes is there from the moment at which its move is, and one that leaves until its move is over. Each
function is one transaction, and may be called again after any interruption.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import psycopg

from task_queue.domain.document import naming
from task_queue.domain.task import TaskId
from task_queue.fleet.database import Database
from task_queue.fleet.queue import free_record
from task_queue.fleet.snapshot import state_in

_UNTRIED: LiteralString = (
    "(journal IS NULL AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.source = task.source "
    "AND attempt.record = task.record))"
)


@dataclass(frozen=True, slots=True)
class FolderKey:
    """A source's folder: ``id`` is kept in it, ``place`` says to people where it is."""

    id: str
    place: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """A task on its way to a folder."""

    move_id: str
    task_id: TaskId
    document: bytes
    dropped_at: datetime


@dataclass(frozen=True, slots=True)
class Resting:
    """A task of a source that does not run. ``why_tied``: it cannot leave; None: it can."""

    task_id: TaskId
    document: bytes
    why_tied: str | None
    in_folder_of: str | None
    """The host by whose folder it came in, and which has its document."""


@dataclass(frozen=True, slots=True)
class HandedBack:
    """A task that came in by a folder. ``why_kept`` in the fleet; None: the folder alone has it now."""

    task_id: TaskId
    why_kept: str | None


@dataclass(frozen=True, slots=True)
class KnownMove:
    """One that is under way or was interrupted; ``s_ago`` by the clock of the database."""

    way: str
    source: str
    task_id: TaskId
    place: str
    s_ago: float


def receive(
    database: Database,
    move_id: str,
    *,
    source: str,
    task_id: TaskId,
    document: bytes,
    dropped_at: datetime,
    folder: FolderKey,
) -> str | None:
    """Let a task wait in the fleet, unless that move did it before; why it cannot, None if it does or did."""
    try:
        with database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO move (id, way, source, name, folder, place) "
                "VALUES (%s, 'import', %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [move_id, source, task_id, folder.id, folder.place],
            )
            if cursor.rowcount:
                # Known at once: the host that claims it names its folder by it.
                record = free_record(cursor, source, task_id)
                cursor.execute(
                    "INSERT INTO task (source, name, record, document, dropped_at, changed_at) "
                    "VALUES (%s, %s, %s, %s, %s, %s)",
                    [source, task_id, record, document, dropped_at, dropped_at],
                )
    except psycopg.errors.UniqueViolation:
        return f"a task of that name waits or runs in source '{source}' of the fleet"
    return None


def forget_received(database: Database, folder: FolderKey, *, but: Collection[str] = ()) -> None:
    """The moves from the folder that are over, because it has nothing of them any more: all *but* these."""
    with database.transaction() as cursor:
        cursor.execute(
            "DELETE FROM move WHERE folder = %s AND way = 'import' AND NOT id = ANY(%s::uuid[])",
            [folder.id, list(but)],
        )


def forget(database: Database, move_id: str) -> None:
    """A move from a folder that is over."""
    with database.transaction() as cursor:
        cursor.execute("DELETE FROM move WHERE id = %s", [move_id])


def resting_in(database: Database, source: str) -> tuple[Resting, ...]:
    """In the order in which they came; without those that leave already."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT name, document, CASE WHEN cancelled THEN 'it is to be cancelled' "
            "WHEN intake IS NOT NULL THEN 'its document is in the folder of host ' || intake "
            f"WHEN NOT {_UNTRIED} THEN 'it was tried in the fleet, which has its attempts' END, intake "
            "FROM task WHERE source = %s AND state = 'pending' AND move IS NULL ORDER BY dropped_at, id",
            [source],
        )
        return tuple(
            Resting(TaskId(name), bytes(text), why, intake) for name, text, why, intake in cursor.fetchall()
        )


def let_leave(
    database: Database, move_id: str, *, source: str, task_id: TaskId, folder: FolderKey
) -> Leaving | None:
    """Keep a task from being claimed while it leaves; None if it does not wait any more, or has to stay."""
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO move (id, way, source, name, folder, place) VALUES (%s, 'export', %s, %s, %s, %s)",
            [move_id, source, task_id, folder.id, folder.place],
        )
        cursor.execute(
            "UPDATE task SET move = %s WHERE source = %s AND name = %s AND state = 'pending' AND move IS NULL "
            f"AND {_UNTRIED} AND intake IS NULL AND NOT cancelled RETURNING document, dropped_at",
            [move_id, source, task_id],
        )
        row = cursor.fetchone()
        if row is None:
            cursor.execute("DELETE FROM move WHERE id = %s", [move_id])
            return None
        return Leaving(move_id, task_id, bytes(row[0]), naming.time_in(naming.document_of(task_id)) or row[1])


def leaving_to(database: Database, folder: FolderKey) -> tuple[Leaving, ...]:
    """The tasks on their way to the folder."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT move.id::text, task.name, document, dropped_at FROM move JOIN task ON task.move = move.id "
            "WHERE folder = %s ORDER BY move.at, task.id",
            [folder.id],
        )
        return tuple(
            Leaving(move, TaskId(name), bytes(text), naming.time_in(naming.document_of(name)) or at)
            for move, name, text, at in cursor.fetchall()
        )


def has_left(database: Database, move_id: str) -> None:
    """It waits in the folder: the fleet forgets it."""
    with database.transaction() as cursor:
        cursor.execute("DELETE FROM task WHERE move = %s", [move_id])
        cursor.execute("DELETE FROM move WHERE id = %s", [move_id])


def came_back(database: Database, move_id: str) -> None:
    """It cannot arrive: let hosts claim it again."""
    with database.transaction() as cursor:
        cursor.execute("UPDATE task SET move = NULL WHERE move = %s", [move_id])
        cursor.execute("DELETE FROM move WHERE id = %s", [move_id])


def hand_back(database: Database, source: str, host: str, *, dry_run: bool) -> tuple[HandedBack, ...]:
    """Let the folder of *host* alone have what came in by it and waits; with *dry_run* only say what that would do."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT id, name, record, CASE WHEN state = 'running' THEN 'it runs on host ' || host "
            "WHEN shown IS DISTINCT FROM revision "
            "THEN 'its folder does not show yet how it stands: let the daemon do it' "
            "WHEN cancelled THEN 'it is to be cancelled' WHEN EXISTS (SELECT 1 FROM attempt WHERE attempt.source = "
            "task.source AND attempt.record = task.record AND attempt.host IS DISTINCT FROM %(host)s) "
            "THEN 'it was tried on another host, and the fleet has that attempt' END FROM task "
            "WHERE source = %(source)s AND intake = %(host)s "
            "AND (state IN ('pending', 'running') OR shown IS DISTINCT FROM revision) ORDER BY id FOR UPDATE",
            {"source": source, "host": host},
        )
        rows = cursor.fetchall()
        free = [(row, record) for row, _, record, why in rows if why is None]
        for row, record in () if dry_run else free:
            for table in ("frame", "attempt"):
                cursor.execute(
                    f"DELETE FROM {table} WHERE source = %s AND record = %s".encode(), [source, record]
                )
            cursor.execute("DELETE FROM task WHERE id = %s", [row])
        return tuple(HandedBack(TaskId(name), why) for _, name, _, why in rows)


def knows_any(database: Database, sources: Sequence[str], task_id: TaskId) -> bool:
    """Whether one of *sources* of the fleet has or had the task."""
    with database.transaction() as cursor:
        return any(state_in(cursor, source, task_id) is not None for source in sources)


def moves_of(database: Database) -> tuple[KnownMove, ...]:
    """Of all folders, the oldest first."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT way, source, name, place, extract(epoch FROM clock_timestamp() - at)::float8 FROM move ORDER BY at"
        )
        return tuple(
            KnownMove(way, source, TaskId(name), place, s)
            for way, source, name, place, s in cursor.fetchall()
        )
