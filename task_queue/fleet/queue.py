"""The claims of a source: a row says who works on a task, and only that host's present life moves it on.

Each method is one transaction. Three indexes arbitrate, not the order in which hosts look: one row of a name is
claimed once (``task_open`` and its row lock), a source has no more claims than slots (``task_slot``), and of the tasks
with one ``dedupe_key`` one runs (``task_key``).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from task_queue.domain.attempt.lifecycle import session_to_continue
from task_queue.domain.attempt.proof import new_token, proof_of
from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import ClaimHeld, ClaimLost
from task_queue.domain.model import Claim, Journal, Result
from task_queue.domain.task import Task, TaskId
from task_queue.fleet.attempts import document_in
from task_queue.fleet.database import Cursor
from task_queue.fleet.held import HeldSource, demand_alive, demand_taking
from task_queue.platform.owners import this_process
from task_queue.platform.records import decode, encode

_ENDED = (
    "UPDATE task SET claim = NULL, attempt = NULL, slot = NULL, host = NULL, life = NULL, "
    "revision = revision + 1, changed_at = now(), "
)
"""Of a claim that is over."""
DELETED = "the document was deleted while the task ran"


class FleetQueue:
    """Implements ports.queue.Queue."""

    def __init__(self, held: HeldSource) -> None:
        self._held = held

    def claim(self, task_id: TaskId, *, worker: str, now: datetime) -> Claim:
        held, token = self._held, new_token()
        try:
            with held.database.transaction() as cursor:
                demand_taking(cursor, held.owner)
                row = _waiting(cursor, held.id, task_id)
                journal = None if row["journal"] is None else decode(Journal, row["journal"].encode())
                record = TaskId(row["record"] or free_record(cursor, held.id, task_id))
                earlier = journal.attempts if journal else ()
                session = None if journal is not None and journal.fresh else session_to_continue(earlier)
                claim = Claim(
                    task_id=record,
                    worker=worker,
                    started_at=now,
                    attempt=1 + max((_last_attempt(cursor, held.id, record), *(a.number for a in earlier))),
                    session_id=session or str(uuid.uuid4()),
                    resumes=session is not None,
                    owner=this_process(str(threading.get_native_id())),
                    document=naming.document_of(task_id),
                    proof=proof_of(token),
                )
                self._publish(cursor, row["id"], claim, bytes(row["document"]))
        except psycopg.errors.UniqueViolation as error:
            raise ClaimHeld(f"{task_id}: another host was first") from error
        held.tokens[claim.task_id, claim.attempt] = token
        return claim

    def _publish(self, cursor: Cursor, row_id: int, claim: Claim, document: bytes) -> None:
        held = self._held
        slot = _free_slot(cursor, held.id, held.slots())
        cursor.execute(
            "UPDATE task SET state = 'running', record = %s, claim = %s, attempt = %s, slot = %s, host = %s, "
            "life = %s, revision = revision + 1 WHERE id = %s",
            [
                claim.task_id,
                encode(claim).decode(),
                claim.attempt,
                slot,
                held.owner.host,
                held.owner.life,
                row_id,
            ],
        )
        cursor.execute(
            "INSERT INTO attempt (source, record, number, document, host) "
            "VALUES (%(source)s, %(record)s, %(number)s, %(document)s, %(host)s)",
            {**held.where(claim), "document": document[:MAX_BYTES], "host": held.owner.host},
        )

    def token_of(self, claim: Claim) -> str:
        return self._held.token_of(claim)

    def task(self, claim: Claim) -> Task:
        with self._held.database.transaction() as cursor:
            return parse(document_in(cursor, self._held.where(claim)), claim.task_id)

    def journal(self, claim: Claim) -> Journal:
        with self._held.database.transaction() as cursor:
            cursor.execute(
                "SELECT journal FROM task WHERE source = %(source)s AND record = %(record)s",
                self._held.where(claim),
            )
            row = cursor.fetchone()
        return decode(Journal, row[0].encode()) if row and row[0] is not None else Journal(claim.task_id)

    def arrived_at(self, claim: Claim) -> datetime | None:
        with self._held.database.transaction() as cursor:
            cursor.execute(
                "SELECT dropped_at FROM task JOIN attempt USING (source, record, document) "
                "WHERE source = %(source)s AND record = %(record)s AND number = %(number)s",
                self._held.where(claim),
            )
            row = cursor.fetchone()
        return None if row is None else row[0]

    def claims(self) -> tuple[Claim, ...]:
        """Those of this host: another host concludes its own, and this one those that it took over."""
        owner = self._held.owner
        with self._held.database.transaction() as cursor:
            cursor.execute(
                "SELECT claim FROM task WHERE source = %s AND host = %s AND life = %s AND state = 'running' "
                "ORDER BY id",
                [self._held.id, owner.host, owner.life],
            )
            return tuple(decode(Claim, row[0].encode()) for row in cursor.fetchall())

    def claims_to_stop(self) -> tuple[Claim, ...]:
        return self.claims()

    def settle(self, claim: Claim, result: Result, report: str = "") -> str | None:
        held = self._held
        with held.database.transaction() as cursor:
            row = self._own(cursor, claim)
            if row is None:
                if _is_settled(cursor, held.id, claim, result):
                    return None
                raise _lost(claim)
            ran = document_in(cursor, held.where(claim))
            newer, note = self._keep_newer(cursor, claim, row["document"], ran)
            if note:
                product = replace(result.product, notes=(*result.product.notes, note))
                result = replace(result, product=product)
            cursor.execute(
                _ENDED
                + "state = %s, result = %s, report = %s, document = %s, journal = NULL, cancelled = false "
                "WHERE id = %s",
                [
                    result.state.value,
                    encode(result).decode(),
                    report.encode(errors="replace"),
                    ran,
                    row["id"],
                ],
            )
        return newer

    def release(self, claim: Claim, journal: Journal) -> str | None:
        with self._held.database.transaction() as cursor:
            row = self._own(cursor, claim)
            if row is None:
                raise _lost(claim)
            ran = document_in(cursor, self._held.where(claim))
            newer, _ = self._keep_newer(cursor, claim, row["document"], ran)
            cursor.execute(
                _ENDED + "state = 'pending', journal = %s, document = %s WHERE id = %s",
                [encode(journal).decode(), ran, row["id"]],
            )
        return newer

    def _keep_newer(
        self, cursor: Cursor, claim: Claim, present: bytes | None, ran: bytes
    ) -> tuple[str | None, str]:
        """Keep the text that is there instead of the one that *ran*: its name, and what the result says of it."""
        if present is None:
            return None, DELETED
        if bytes(present)[:MAX_BYTES] == ran:
            return None, ""
        cursor.execute(
            "INSERT INTO kept (source, record, kind, document) VALUES (%s, %s, 'edited', %s)",
            [self._held.id, claim.task_id, present],
        )
        name = f"edited-{naming.key_of(naming.task_id_of(claim.document))}.md"
        return name, f"the document was edited while the task ran; the newer text is kept as {name}"

    def _own(self, cursor: Cursor, claim: Claim) -> Mapping[str, Any] | None:
        """The row of *claim*, locked; None unless this life of this host holds just that attempt."""
        owner = self._held.owner
        demand_alive(cursor, owner)
        return _row(
            cursor,
            "SELECT id, document FROM task WHERE source = %(source)s AND record = %(record)s AND attempt = %(number)s "
            "AND state = 'running' AND host = %(host)s AND life = %(life)s FOR UPDATE",
            {**self._held.where(claim), "host": owner.host, "life": owner.life},
        )


def _row(cursor: Cursor, query: str, values: Mapping[str, object]) -> Mapping[str, Any] | None:
    cursor.execute(query.encode(), values)
    row = cursor.fetchone()
    names = [column.name for column in cursor.description or ()]
    return None if row is None else dict(zip(names, row, strict=True))


def _waiting(cursor: Cursor, source: str, task_id: TaskId) -> Mapping[str, Any]:
    row = _row(
        cursor,
        "SELECT id, record, document, journal FROM task "
        "WHERE source = %(source)s AND name = %(name)s AND state = 'pending' AND move IS NULL "
        "FOR UPDATE SKIP LOCKED",
        {"source": source, "name": task_id},
    )
    if row is None:
        raise ClaimHeld(f"{task_id} does not wait any more, or another host is about to claim it")
    return row


def _last_attempt(cursor: Cursor, source: str, record: TaskId) -> int:
    cursor.execute("SELECT max(number) FROM attempt WHERE source = %s AND record = %s", [source, record])
    row = cursor.fetchone()
    last: int | None = None if row is None else row[0]
    return last or 0


def free_record(cursor: Cursor, source: str, task_id: TaskId) -> TaskId:
    """*task_id*, or with the first number that neither an earlier record nor a waiting document has."""
    cursor.execute(
        "SELECT record FROM task WHERE source = %(source)s "
        "AND (record = %(name)s OR record ~>=~ %(first)s AND record ~<~ %(beyond)s) "
        "UNION SELECT name FROM task WHERE source = %(source)s AND state IN ('pending', 'running') "
        "AND name ~>=~ %(first)s AND name ~<~ %(beyond)s",
        {"source": source, "name": task_id, "first": f"{task_id}.", "beyond": f"{task_id}/"},
    )
    taken = {row[0] for row in cursor.fetchall()}
    candidate, number = task_id, 1
    while candidate in taken:
        number += 1
        candidate = naming.numbered(task_id, number)
    return candidate


def _free_slot(cursor: Cursor, source: str, slots: int) -> int:
    cursor.execute(
        "SELECT min(slot) FROM generate_series(1, %(slots)s) AS free (slot) WHERE slot NOT IN "
        "(SELECT slot FROM task WHERE source = %(source)s AND state = 'running')",
        {"slots": slots, "source": source},
    )
    row = cursor.fetchone()
    if row is None or row[0] is None:
        raise ClaimHeld(f"'{source}' has as many claims as slots: {slots}")
    slot: int = row[0]
    return slot


def _is_settled(cursor: Cursor, source: str, claim: Claim, result: Result) -> bool:
    cursor.execute("SELECT result FROM task WHERE source = %s AND record = %s", [source, claim.task_id])
    row = cursor.fetchone()
    if row is None or row[0] is None:
        return False
    return decode(Result, row[0].encode()).attempts[-1:] == result.attempts[-1:]


def _lost(claim: Claim) -> ClaimLost:
    return ClaimLost(f"{claim.task_id}: the claim of attempt {claim.attempt} is gone")
