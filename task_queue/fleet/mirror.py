"""Lets the folder of a task say how it stands, wherever it is carried out: what looks there need not know of the fleet.

What runs on another host has a lock here that names it. Each step is one of the folder's own, and may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from task_queue.domain import events
from task_queue.domain.attempt.figures import figures_of
from task_queue.domain.attempt.results import bare_ending
from task_queue.domain.errors import ClaimHeld
from task_queue.domain.lease import WORKER, LeaseTerms
from task_queue.domain.model import Claim, Journal, Outcome, OutcomeKind, Owner, Result, RunRecord
from task_queue.domain.peers import LEASE_S
from task_queue.domain.task import TaskState
from task_queue.fleet.folders import HostFolders
from task_queue.fleet.rows import SourceRows, TaskRow
from task_queue.platform.records import decode
from task_queue.ports.clock import Clock
from task_queue.ports.emit import Emit
from task_queue.ports.executor import marker_of
from task_queue.ports.leased_log import HeldFrames
from task_queue.store.folder.leased import LeasedAttempts

MOST_OF_A_TRANSCRIPT = 16 * 2**20
"""Bytes of one that come from another host; of a longer one what decided, too."""


_ANOTHER_HAS_IT = Outcome(OutcomeKind.INTERRUPTED, "another host has the task")


class Mirror:
    """Of the tasks that came in on *host* for *source*."""

    def __init__(
        self,
        source: str,
        host: str,
        folders: HostFolders,
        rows: SourceRows,
        *,
        transcript_of: Callable[[TaskRow], tuple[str, ...]],
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._source, self._host = source, host
        self._folders, self._rows = folders, rows
        self._transcript_of = transcript_of
        self._clock, self._emit = clock, emit
        self._leased = LeasedAttempts(folders.own.layout)

    def show_all(self) -> None:
        """Raises EngineUnavailable."""
        self.show(self._rows.to_show())

    def show(self, rows: Iterable[TaskRow]) -> None:
        """Raises EngineUnavailable."""
        for row in rows:
            try:
                is_shown = self._show(row)
            except ClaimHeld:  # its document is being changed
                is_shown = False
            if is_shown:
                self._rows.note_shown(row)

    def let_go(self, row: TaskRow) -> None:
        """Take away the lock that says that another host carries it out."""
        claim = self._folders.claim_on(row.name)
        if claim is None:
            return
        journal = row.journal or Journal(row.record)
        last = journal.attempts[-1:]
        outcome = Outcome(last[0].outcome, last[0].reason) if last else _ANOTHER_HAS_IT
        self._close(claim, outcome)
        self._folders.own.queue.release(claim, journal)

    def _show(self, row: TaskRow) -> bool:
        match row.state:
            case TaskState.RUNNING:
                return row.host == self._host or self._show_running(row)
            case TaskState.PENDING:
                return self._show_waiting(row)
            case _:
                return self._show_ended(row)

    def _show_running(self, row: TaskRow) -> bool:
        assert row.host is not None
        claim = self._folders.claim_on(row.name)
        if claim is not None and claim.worker == row.host:
            return True
        if claim is not None and claim.worker == self._host:
            return False  # it was taken from us, and is ended here first
        if claim is None and self._folders.is_gone(row.name):
            self._rows.cancel([row.name])
            return False
        if claim is not None:
            self.let_go(row)
        self._stand_in(row, row.host)
        return True

    def _show_waiting(self, row: TaskRow) -> bool:
        claim = self._folders.claim_on(row.name)
        if claim is not None and claim.worker == self._host:
            return False
        if claim is None:
            if row.journal is None or self._folders.journal_of(row.name) == row.journal:
                return True
            self._stand_in(row, self._host)
        self.let_go(row)
        return True

    def _show_ended(self, row: TaskRow) -> bool:
        assert row.result is not None
        result = decode(Result, row.result.encode())
        claim = self._folders.claim_on(row.name)
        if claim is not None and claim.worker == self._host != result.worker:
            return False
        if claim is None and self._folders.has_ended(row.record, result):
            return True
        claim = claim or self._stand_in(row, result.worker)
        if result.worker != self._host:
            self._leased.add_frames(
                claim, 0, self._transcript_of(row), held=HeldFrames(), room=MOST_OF_A_TRANSCRIPT
            )
            self._close(claim, Outcome(result.outcome, result.error, result.evidence))
            shown = self._folders.checkout.shown(result, row.document, self._rows.bundle_of(row.record))
            self._folders.own.queue.settle(claim, shown.result, shown.report)
            self._emit(settled(self._source, shown.result))
            return True
        self._folders.own.queue.settle(claim, result, row.report)
        return True

    def _close(self, claim: Claim, outcome: Outcome) -> None:
        """An attempt without an end would be taken for one that still runs."""
        ending = bare_ending(claim, outcome, by="worker", now=self._clock.now())
        self._folders.own.attempts.commit(claim, ending)

    def _stand_in(self, row: TaskRow, worker: str) -> Claim:
        """A claim of the folder that says that *worker* has the task. Raises ClaimHeld."""
        self._folders.restore(row)
        self._folders.write_history(row)
        now = self._clock.now()
        claim = self._folders.own.queue.claim(row.name, worker=worker, now=now)
        run = RunRecord(
            claim.task_id,
            claim.attempt,
            marker_of(self._source, claim),
            Owner(WORKER, worker),
            now,
            claim=claim,
            lease=LeaseTerms(worker, LEASE_S),
        )
        self._leased.begin(run, None)
        if worker != self._host:
            self._emit(events.TaskClaimed(self._source, claim.task_id, claim.attempt, claim.resumes))
        return claim


def settled(source: str, result: Result) -> events.TaskSettled:
    return events.TaskSettled(
        source,
        result.task_id,
        result.attempts[-1].number if result.attempts else 1,
        result.state,
        result.outcome,
        result.error,
        took=timedelta(milliseconds=result.duration_ms),
        turns=result.num_turns,
        cost_usd=result.total_cost_usd,
        dead_letter=result.dead_letter,
        attention=tuple(need.kind.value for need in result.attention),
        figures=figures_of(result),
    )
