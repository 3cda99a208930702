"""What is known of the attempts of a source: who runs one, what it says, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from psycopg import sql

from task_queue.domain.attempt.proof import is_signed_by_runner
from task_queue.domain.errors import ClaimLost, EngineUnavailable
from task_queue.domain.model import Claim, Ending, RunRecord
from task_queue.fleet.database import Cursor
from task_queue.fleet.held import HeldSource, demand_alive
from task_queue.platform import durable
from task_queue.platform.owners import this_process
from task_queue.platform.records import decode, encode
from task_queue.ports.attempt_log import AttemptPlace, LogAddress

ENGINE = "fleet"
"""What the address of a log says of this kind of engine; the location is the attempt's scratch folder."""
_First = TypeVar("_First", RunRecord, Ending)
_COLUMNS: Mapping[type[RunRecord | Ending], str] = {RunRecord: "run", Ending: "ending"}


class FleetAttempts:
    """Implements ports.attempt_log.AttemptLog. *scratch*: where the attempts of this host have their folders."""

    def __init__(self, held: HeldSource, scratch: Path) -> None:
        self._held = held
        self._scratch = scratch

    def place_of(self, claim: Claim) -> AttemptPlace:
        folder = self._scratch / self._held.id / claim.task_id / f"attempt-{claim.attempt}"
        document = folder / "task.md"
        with self._held.database.transaction() as cursor:
            text = document_in(cursor, self._held.where(claim))
        try:
            durable.make_directory(folder)
            durable.replace(document, text)
        except OSError as error:
            raise EngineUnavailable(f"{error.filename or folder}: {error.strerror or error}") from error
        return AttemptPlace(LogAddress(ENGINE, str(folder)), document, folder)

    def run_of(self, claim: Claim) -> RunRecord | None:
        with self._held.database.transaction() as cursor:
            return record_in(cursor, RunRecord, self._held.where(claim))

    def runs_out_of_sight(self, claim: Claim) -> bool:  # noqa: ARG002 - the port's signature
        """Its host knows; whether that host lives is for the others to see."""
        return False

    def abandon(self, claim: Claim, *, now: datetime) -> RunRecord:
        tombstone = RunRecord(claim.task_id, claim.attempt, "", this_process(), now, abandoned=True)
        with self._held.database.transaction() as cursor:
            demand_alive(cursor, self._held.owner)
            return first_of(cursor, tombstone, self._held.where(claim))

    def commit(self, claim: Claim, ending: Ending) -> Ending:
        with self._held.database.transaction() as cursor:
            demand_alive(cursor, self._held.owner)
            return first_of(cursor, ending, self._held.where(claim))

    def ending_of(self, claim: Claim) -> Ending | None:
        with self._held.database.transaction() as cursor:
            return record_in(cursor, Ending, self._held.where(claim))

    def is_genuine(self, claim: Claim, ending: Ending) -> bool:
        """Agents do not reach the database; what carries no signature is not what its worker reported."""
        return is_signed_by_runner(claim, ending)

    def set_ending_aside(self, claim: Claim) -> None:
        with self._held.database.transaction() as cursor:
            set_aside(cursor, self._held.where(claim))

    def transcript(self, claim: Claim) -> tuple[str, ...]:
        with self._held.database.transaction() as cursor:
            return frames_of(cursor, self._held.where(claim))

    def steps(self, claim: Claim) -> tuple[str, ...]:  # noqa: ARG002 - the port's signature
        """None: they are on the disk of the host that did them."""
        return ()

    def may_have_acted(self, claim: Claim) -> bool:
        with self._held.database.transaction() as cursor:
            return bool(count_of_frames(cursor, self._held.where(claim)))


def document_in(cursor: Cursor, where: Mapping[str, object]) -> bytes:
    """As it was at the claim. Raises ClaimLost."""
    cursor.execute(
        "SELECT document FROM attempt WHERE source = %(source)s AND record = %(record)s AND number = %(number)s",
        where,
    )
    row = cursor.fetchone()
    if row is None:
        raise ClaimLost(f"{where['record']}: nothing is known of attempt {where['number']}")
    return bytes(row[0])


def record_in(cursor: Cursor, kind: type[_First], where: Mapping[str, object]) -> _First | None:
    cursor.execute(
        sql.SQL(
            "SELECT {} FROM attempt WHERE source = %(source)s AND record = %(record)s AND number = %(number)s"
        ).format(sql.Identifier(_COLUMNS[kind])),
        where,
    )
    row = cursor.fetchone()
    return None if row is None or row[0] is None else decode(kind, row[0].encode())


def first_of(cursor: Cursor, record: _First, where: Mapping[str, object]) -> _First:
    """The record of that kind that was written first: this one, or an earlier one."""
    column = sql.Identifier(_COLUMNS[type(record)])
    cursor.execute(
        sql.SQL(
            "UPDATE attempt SET {column} = %(content)s WHERE source = %(source)s AND record = %(record)s "
            "AND number = %(number)s AND {column} IS NULL"
        ).format(column=column),
        {**where, "content": encode(record).decode()},
    )
    if cursor.rowcount:
        return record
    standing = record_in(cursor, type(record), where)
    assert standing is not None, f"attempt {where['number']} of {where['record']} was never claimed"
    return standing


def set_aside(cursor: Cursor, where: Mapping[str, object]) -> int | None:
    """Keep the ending that is there as another one; its number, None if there is none."""
    cursor.execute(
        "INSERT INTO kept (source, record, kind, content) SELECT source, record, 'ending', ending FROM attempt "
        "WHERE source = %(source)s AND record = %(record)s AND number = %(number)s AND ending IS NOT NULL RETURNING id",
        where,
    )
    row = cursor.fetchone()
    cursor.execute(
        "UPDATE attempt SET ending = NULL "
        "WHERE source = %(source)s AND record = %(record)s AND number = %(number)s",
        where,
    )
    return None if row is None else row[0]


def frames_of(cursor: Cursor, where: Mapping[str, object]) -> tuple[str, ...]:
    cursor.execute(
        "SELECT content FROM frame WHERE source = %(source)s AND record = %(record)s AND number = %(number)s "
        "ORDER BY place",
        where,
    )
    return tuple(bytes(row[0]).decode(errors="replace") for row in cursor.fetchall())


def count_of_frames(cursor: Cursor, where: Mapping[str, object]) -> int:
    cursor.execute(
        "SELECT count(*) FROM frame WHERE source = %(source)s AND record = %(record)s AND number = %(number)s",
        where,
    )
    row = cursor.fetchone()
    assert row is not None
    count: int = row[0]
    return count
