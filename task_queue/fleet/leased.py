"""The attempts of a source that workers carry out: who holds one, its frames, what it reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from psycopg import sql

from task_queue.domain.attempt.frames import kept_of
from task_queue.domain.model import Claim, RunRecord
from task_queue.domain.task import TaskId
from task_queue.fleet.attempts import first_of, record_in
from task_queue.fleet.database import Cursor
from task_queue.fleet.held import HeldSource, demand_alive
from task_queue.fleet.snapshot import state_in
from task_queue.platform.records import decode, encode
from task_queue.ports.claims import FramesMissingError, KeyedOrder, ToldProgress, WorkerReport
from task_queue.ports.leased_log import HeldFrames

_FromWorker = TypeVar("_FromWorker", KeyedOrder, WorkerReport)
_COLUMNS: Mapping[type[KeyedOrder | WorkerReport], str] = {KeyedOrder: "keyed", WorkerReport: "report"}
_OF_ATTEMPT: Final = "WHERE source = %(source)s AND record = %(record)s AND number = %(number)s"


class FleetLeased:
    """Implements ports.leased_log.LeasedLog."""

    def __init__(self, held: HeldSource) -> None:
        self._held = held

    def begin(self, run: RunRecord, keyed: KeyedOrder | None) -> None:
        assert run.claim is not None
        where = self._held.where(run.claim)
        with self._held.database.transaction() as cursor:
            demand_alive(cursor, self._held.owner)
            if keyed is not None:
                _keep_first(cursor, keyed, where)
            first_of(cursor, run, where)

    def run_of(self, task_id: TaskId, attempt: int) -> RunRecord | None:
        with self._held.database.transaction() as cursor:
            run = record_in(
                cursor, RunRecord, {"source": self._held.id, "record": task_id, "number": attempt}
            )
        return None if run is None or run.lease is None or run.claim is None else run

    def keyed_order_of(self, claim: Claim) -> KeyedOrder | None:
        return self._kept(KeyedOrder, claim)

    def last_attempt(self, task_id: TaskId) -> int:
        with self._held.database.transaction() as cursor:
            cursor.execute(
                "SELECT coalesce(max(number), 0) FROM attempt WHERE source = %s AND record = %s",
                [self._held.id, task_id],
            )
            ((last,),) = cursor.fetchall()
        return int(last)

    def has_ended(self, claim: Claim) -> bool:
        return self._value("ending IS NOT NULL", claim) is True

    def state_of(self, task_id: TaskId) -> str:
        with self._held.database.transaction() as cursor:
            state = state_in(cursor, self._held.id, task_id)
        return "unknown" if state is None else state.value

    def report(self, claim: Claim, report: WorkerReport) -> bool:
        with self._held.database.transaction() as cursor:
            demand_alive(cursor, self._held.owner)
            return _keep_first(cursor, report, self._held.where(claim))

    def report_of(self, claim: Claim) -> WorkerReport | None:
        return self._kept(WorkerReport, claim)

    def has_artifact(self, claim: Claim, name: str) -> bool:  # noqa: ARG002 - the port's signature
        """None can be handed in yet."""
        return False

    def note_progress(self, claim: Claim, progress: ToldProgress) -> None:
        with self._held.database.transaction() as cursor:
            # A percentage never falls, and what is not said again stays.
            cursor.execute(
                "UPDATE attempt SET percent = greatest(percent, %(percent)s), step = coalesce(%(step)s, step) "
                + _OF_ATTEMPT,
                {**self._held.where(claim), "percent": progress.percent, "step": progress.step},
            )

    def add_frames(
        self,
        claim: Claim,
        offset: int,
        lines: Sequence[str],
        *,
        held: HeldFrames,  # noqa: ARG002 - the port's; what the tables say holds for all processes
        room: int,
    ) -> HeldFrames:
        where = self._held.where(claim)
        with self._held.database.transaction() as cursor:
            demand_alive(cursor, self._held.owner)
            cursor.execute(
                "SELECT received, is_full, written, (SELECT coalesce(max(place), 0) FROM frame "
                + _OF_ATTEMPT
                + ") FROM attempt "
                + _OF_ATTEMPT
                + " FOR UPDATE",
                where,
            )
            ((received, is_full, written, last),) = cursor.fetchall()
            if offset > received:
                raise FramesMissingError(received)
            kept = kept_of(lines[received - offset :], room=room - written, is_full=is_full)
            count = max(received, offset + len(lines))
            cursor.execute(
                "UPDATE attempt SET received = %(count)s, is_full = %(is_full)s, written = written + %(size)s "
                + _OF_ATTEMPT,
                {**where, "count": count, "is_full": kept.is_full, "size": kept.size},
            )
            cursor.executemany(
                "INSERT INTO frame (source, record, number, place, content) "
                "VALUES (%(source)s, %(record)s, %(number)s, %(place)s, %(content)s)",
                [
                    {**where, "place": place, "content": line.removesuffix(b"\n")}
                    for place, line in enumerate(kept.lines, start=last + 1)
                ],
            )
        return HeldFrames(count, kept.is_full)

    def frames_of(self, claim: Claim) -> HeldFrames:
        with self._held.database.transaction() as cursor:
            cursor.execute("SELECT received, is_full FROM attempt " + _OF_ATTEMPT, self._held.where(claim))
            return next((HeldFrames(*row) for row in cursor.fetchall()), HeldFrames())

    def _kept(self, kind: type[_FromWorker], claim: Claim) -> _FromWorker | None:
        content = self._value(_COLUMNS[kind], claim)
        return None if content is None else decode(kind, str(content).encode())

    def _value(self, what: str, claim: Claim) -> object:
        with self._held.database.transaction() as cursor:
            cursor.execute(f"SELECT {what} FROM attempt {_OF_ATTEMPT}".encode(), self._held.where(claim))
            row = cursor.fetchone()
        return None if row is None else row[0]


def _keep_first(cursor: Cursor, record: KeyedOrder | WorkerReport, where: Mapping[str, object]) -> bool:
    """False if another one is there."""
    column = sql.Identifier(_COLUMNS[type(record)])
    cursor.execute(
        sql.SQL("UPDATE attempt SET {column} = %(content)s " + _OF_ATTEMPT + " AND {column} IS NULL").format(
            column=column
        ),
        {**where, "content": encode(record).decode()},
    )
    return cursor.rowcount == 1
