"""What a person wants of a task of a source: a cancel, a retry."""

from __future__ import annotations

from dataclasses import replace

from task_queue.domain.attempt.results import journal_of_retry
from task_queue.domain.attempt.retry_wish import NO_WISH, RetryWish
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.model import Claim, Journal, Result
from task_queue.domain.task import TaskId
from task_queue.fleet.database import Cursor
from task_queue.fleet.held import HeldSource
from task_queue.platform.records import decode, encode


class FleetRequests:
    """Implements ports.requests.Requests."""

    def __init__(self, held: HeldSource) -> None:
        self._held = held

    def request_cancel(self, task_id: TaskId) -> None:
        with self._held.database.transaction() as cursor:
            # By the name of the document where it waits, by its record where it runs.
            cursor.execute(
                "UPDATE task SET cancelled = true, revision = revision + 1 WHERE source = %(source)s AND "
                "(state = 'pending' AND name = %(id)s AND move IS NULL OR state = 'running' AND record = %(id)s)",
                {"source": self._held.id, "id": task_id},
            )
            if not cursor.rowcount:
                raise UnknownTaskError(f"task {task_id} neither waits nor runs in '{self._held.id}'")

    def requeue(self, task_id: TaskId, wish: RetryWish = NO_WISH) -> None:
        with self._held.database.transaction() as cursor:
            if not (self._let_go_on(cursor, task_id, wish) or self._bring_back(cursor, task_id, wish)):
                raise UnknownTaskError(f"task {task_id} did not fail in '{self._held.id}'")

    def cancel_requested(self, claim: Claim) -> bool:
        return self._is(claim, "cancelled")

    def document_is_gone(self, claim: Claim) -> bool:
        return self._is(claim, "document IS NULL")

    def _is(self, claim: Claim, what: str) -> bool:
        with self._held.database.transaction() as cursor:
            cursor.execute(
                f"SELECT {what} FROM task WHERE source = %(source)s AND record = %(record)s".encode(),
                self._held.where(claim),
            )
            row = cursor.fetchone()
        return row is not None and bool(row[0])

    def _let_go_on(self, cursor: Cursor, task_id: TaskId, wish: RetryWish) -> bool:
        """Whether it waits for a person; then it is tried again."""
        cursor.execute(
            "SELECT id, journal FROM task WHERE source = %s AND name = %s AND state = 'pending' "
            "AND move IS NULL AND journal IS NOT NULL FOR UPDATE",
            [self._held.id, task_id],
        )
        row = cursor.fetchone()
        journal = None if row is None else decode(Journal, row[1].encode())
        if row is None or journal is None or not journal.needs_person:
            return False
        wish = replace(wish, fresh=wish.fresh or (journal.fresh and wish.begin_at is None))
        again = journal_of_retry(journal.task_id, journal.attempts, wish)
        cursor.execute(
            "UPDATE task SET journal = %s, revision = revision + 1 WHERE id = %s",
            [encode(again).decode(), row[0]],
        )
        return True

    def _bring_back(self, cursor: Cursor, task_id: TaskId, wish: RetryWish) -> bool:
        """Whether it failed and no other document has its name; then it waits again, under the id of its record."""
        cursor.execute(
            "SELECT id, result FROM task WHERE source = %(source)s AND record = %(id)s AND state = 'failed' "
            "AND document IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE source = %(source)s AND name = %(id)s "
            "AND state IN ('pending', 'running')) FOR UPDATE",
            {"source": self._held.id, "id": task_id},
        )
        row = cursor.fetchone()
        if row is None:
            return False
        result = decode(Result, row[1].encode())
        journal = journal_of_retry(task_id, result.attempts, wish)
        cursor.execute(
            "INSERT INTO kept (source, record, kind, content) VALUES (%s, %s, 'result', %s)",
            [self._held.id, task_id, row[1]],
        )
        cursor.execute(
            "UPDATE task SET state = 'pending', name = record, journal = %s, result = NULL, report = NULL, "
            "cancelled = false, revision = revision + 1, changed_at = now() WHERE id = %s",
            [encode(journal).decode(), row[0]],
        )
        return True
