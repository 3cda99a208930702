"""Tasks on their way into a fleet."""

from __future__ import annotations

import psycopg

from task_queue.domain.document import naming
from task_queue.domain.errors import TaskFileError, UnknownTaskError
from task_queue.domain.task import TaskId
from task_queue.fleet.database import Database


def submit(database: Database, source: str, task_id: TaskId, document: bytes) -> None:
    """Let a task wait; durable when this returns. Raises UnknownTaskError where one of that name waits or runs."""
    if not naming.is_task_id(task_id):
        raise TaskFileError(f"{task_id!r} is not a task id")
    try:
        with database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO task (source, name, document) VALUES (%s, %s, %s)", [source, task_id, document]
            )
    except psycopg.errors.UniqueViolation as error:
        raise UnknownTaskError(
            f"a task {task_id} waits or runs in '{source}' already", hint="give this one another name"
        ) from error
