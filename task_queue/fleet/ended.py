"""Tasks that ended in a fleet and that no folder shows: those that an import brought."""

from __future__ import annotations

from collections.abc import Collection

from task_queue.domain.model import Result
from task_queue.domain.task import TaskId
from task_queue.fleet.attempts import frames_of
from task_queue.fleet.database import Cursor, Database
from task_queue.platform.records import decode
from task_queue.store.folder.ended_elsewhere import AttemptFromElsewhere, TaskFromElsewhere


def ended_in(database: Database, source: str) -> tuple[TaskId, ...]:
    """Their records, in the order in which they ended."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT record FROM task WHERE source = %s AND state IN ('completed', 'failed') AND intake IS NULL "
            "AND num_nonnulls(document, result) = 2 ORDER BY changed_at, id",
            [source],
        )
        return tuple(TaskId(record) for (record,) in cursor.fetchall())


def ended_task(database: Database, source: str, record: TaskId) -> TaskFromElsewhere:
    """With all its attempts."""
    values = {"source": source, "record": record}
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT document, result, report FROM task WHERE source = %(source)s AND record = %(record)s",
            values,
        )
        ((document, result, report),) = cursor.fetchall()
        cursor.execute(
            "SELECT number, document FROM attempt WHERE source = %(source)s AND record = %(record)s ORDER BY number",
            values,
        )
        attempts = [
            AttemptFromElsewhere(number, bytes(text), frames_of(cursor, {**values, "number": number}))
            for number, text in cursor.fetchall()
        ]
    return TaskFromElsewhere(
        record, bytes(document), decode(Result, result.encode()), bytes(report or b""), tuple(attempts)
    )


def forget_texts(database: Database, source: str, record: TaskId) -> None:
    """That it ended, when and how stays: others may depend on it."""
    with database.transaction() as cursor:
        forget_texts_of(cursor, [(source, record)])


def forget_texts_of(cursor: Cursor, records: Collection[tuple[str, str]]) -> None:
    for statement in (
        "DELETE FROM frame WHERE source = %s AND record = %s",
        "DELETE FROM attempt WHERE source = %s AND record = %s",
        "UPDATE task SET document = NULL, result = NULL, report = NULL WHERE source = %s AND record = %s",
    ):
        cursor.executemany(statement.encode(), list(records))
