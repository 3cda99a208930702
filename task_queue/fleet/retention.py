"""Removes what is old from the tables of a fleet. That a task ended, when, and how stays: others may depend on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from task_queue.fleet.database import Cursor, Database
from task_queue.fleet.ended import forget_texts_of

_AT_ONCE = 500
"""A claim never waits for more than the removal of these."""
_OLD = (
    "FROM task WHERE state IN ('completed', 'failed') AND document IS NOT NULL "
    "AND (intake IS NULL OR shown = revision) AND changed_at < clock_timestamp() - %(age)s"
)


@dataclass(frozen=True, slots=True)
class OldRows:
    """What is older than asked for: ended tasks with their texts and attempts, texts that were replaced, events."""

    tasks: int
    kept: int
    events: int


def old_rows(database: Database, age: timedelta) -> OldRows:
    with database.transaction() as cursor:
        values = {"age": age}
        return OldRows(
            _count(cursor, _OLD, values),
            _count(cursor, "FROM kept WHERE at < clock_timestamp() - %(age)s", values),
            _count(cursor, "FROM event WHERE at < clock_timestamp() - %(age)s", values),
        )


def prune(
    database: Database, age: timedelta, *, count: Callable[[int, int], None], is_alone: bool = False
) -> OldRows:
    """Remove what is older than *age* by the clock of the database; how much it was. May be interrupted, and repeated.

    *count* is called with how many tasks are done, and of how many. *is_alone*: leave it to who is at it already.
    """
    before, tasks = old_rows(database, age), 0
    while some := _forget_texts(database, age, is_alone=is_alone):
        tasks += some
        count(tasks, max(tasks, before.tasks))
    with database.transaction() as cursor:
        if is_alone and not _is_alone(cursor):
            return OldRows(tasks, 0, 0)
        cursor.execute("DELETE FROM kept WHERE at < clock_timestamp() - %s", [age])
        kept = cursor.rowcount
        cursor.execute("DELETE FROM gone WHERE at < clock_timestamp() - %s", [age])
        cursor.execute("DELETE FROM event WHERE at < clock_timestamp() - %s", [age])
        return OldRows(tasks, kept, cursor.rowcount)


def _is_alone(cursor: Cursor) -> bool:
    """Until the end of the transaction: a pooler may give the next one to another session."""
    cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('retention ' || current_schema(), 0))")
    ((is_mine,),) = cursor.fetchall()
    return bool(is_mine)


def _forget_texts(database: Database, age: timedelta, *, is_alone: bool) -> int:
    with database.transaction() as cursor:
        if is_alone and not _is_alone(cursor):
            return 0
        cursor.execute(
            f"SELECT source, record {_OLD} ORDER BY changed_at LIMIT %(most)s FOR UPDATE SKIP LOCKED".encode(),
            {"age": age, "most": _AT_ONCE},
        )
        rows = cursor.fetchall()
        forget_texts_of(cursor, rows)
    return len(rows)


def _count(cursor: Cursor, rows: str, values: dict[str, timedelta]) -> int:
    cursor.execute(f"SELECT count(*) {rows}".encode(), values)
    ((number,),) = cursor.fetchall()
    return int(number)
