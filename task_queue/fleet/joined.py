"""A source of a host that has joined a fleet: the tables say who carries a task out, a folder says how that goes.

Each step is taken in the tables first, where only the host that holds the task may take it, and then in the folder. So
whatever is killed in between, the folder is behind and never ahead; what it lacks is done at the next look. Ending what
runs needs the folder alone, so it goes on while the database does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from task_queue.domain.attempt.results import bare_ending
from task_queue.domain.attempt.retry_wish import NO_WISH, RetryWish
from task_queue.domain.document import naming
from task_queue.domain.document.backlog import Backlog
from task_queue.domain.errors import ClaimHeld, ClaimLost, EngineUnavailable, UnknownTaskError
from task_queue.domain.model import Claim, Ending, Journal, Outcome, OutcomeKind, Result, RunRecord
from task_queue.domain.task import Task, TaskId, TaskState
from task_queue.fleet.engine import FleetEngine
from task_queue.fleet.folders import HostFolders
from task_queue.fleet.held import HostLife
from task_queue.fleet.intake import Intake
from task_queue.fleet.mirror import MOST_OF_A_TRANSCRIPT, Mirror
from task_queue.fleet.queue import FleetQueue
from task_queue.fleet.rows import SourceRows, TaskRow
from task_queue.ports.attempt_log import AttemptPlace
from task_queue.ports.clock import Clock
from task_queue.ports.leased_log import HeldFrames
from task_queue.ports.snapshot import Survey

_LOOK_WHILE_TAKEN_S = 5.0
_MANY = 1000


@dataclass(frozen=True, slots=True)
class JoinedSource:
    """What the parts of it share. ``life`` and ``engine`` raise EngineUnavailable while the host may do nothing."""

    host: str
    life: Callable[[], HostLife]
    engine: Callable[..., FleetEngine]
    folders: HostFolders
    rows: SourceRows
    mirror: Mirror
    clock: Clock
    slots: int
    """Of the host."""
    is_shared: bool
    """Other hosts may carry its tasks out."""


class JoinedQueue:
    """Implements ports.queue.Queue."""

    def __init__(self, source: JoinedSource) -> None:
        self._host, self._life, self._engine = source.host, source.life, source.engine
        self._folders, self._rows, self._mirror = source.folders, source.rows, source.mirror
        self._clock = source.clock
        self.unwanted: frozenset[TaskId] = frozenset()
        """Those that are claimed to be ended only, as the last survey found: they need not wait for what runs."""
        self._lost: frozenset[Claim] = frozenset()
        self._before: frozenset[Claim] = frozenset()
        """Claims of before the source was in the fleet."""

    def claim(self, task_id: TaskId, *, worker: str, now: datetime) -> Claim:  # noqa: ARG002 - it is the host
        row = self._rows.open_row(task_id)
        if row is None or (row.intake == self._host and self._folders.text_of(task_id) != row.document):
            raise ClaimHeld(f"{task_id} is being changed")
        if row.journal is not None and self._rows.last_host(row.record) not in {None, self._host}:
            # Its session and its checkout are on the disk of the host that began it.
            row = replace(row, journal=replace(row.journal, fresh=True))
        slots = _MANY if task_id in self.unwanted else 1
        gate = self._engine(slots).queue.claim(task_id, worker=self._host, now=now)
        try:
            return self._begin(row, now)
        except (ClaimHeld, EngineUnavailable):
            self._give_back(gate)
            raise

    def token_of(self, claim: Claim) -> str:
        return self._folders.of(claim).queue.token_of(claim)

    def task(self, claim: Claim) -> Task:
        return self._folders.of(claim).queue.task(claim)

    def journal(self, claim: Claim) -> Journal:
        return self._folders.of(claim).queue.journal(claim)

    def arrived_at(self, claim: Claim) -> datetime | None:
        return self._folders.of(claim).queue.arrived_at(claim)

    def claims(self) -> tuple[Claim, ...]:
        """Those that this host is to bring to their end; among them those that it lost, of which nothing counts."""
        self._mirror.show_all()
        local = {claim.task_id: claim for claim in self._own_claims()}
        held: list[Claim] = []
        for row, is_begun_here in self._rows.running_of(self._life().life):
            claim = local.pop(row.record, None) or self._without_folder(row, is_begun_here=is_begun_here)
            if claim is not None:
                held.append(claim)
        before = {record for record in local if self._rows.row_of(record) is None}
        self._before = frozenset(local[record] for record in before)
        self._lost = frozenset(claim for record, claim in local.items() if record not in before)
        return (*held, *local.values())

    def claims_to_stop(self) -> tuple[Claim, ...]:
        """From the folders alone."""
        own, guests = self._folders.own.queue, self._folders.guests.queue
        mine = (claim for claim in own.claims_to_stop() if claim.worker == self._host)
        return (*mine, *guests.claims_to_stop())

    def settle(self, claim: Claim, result: Result, report: str = "") -> str | None:
        folder = self._folders.of(claim)
        if claim not in self._before:
            self._in_tables(claim, lambda queue, gate: queue.settle(gate, result, report))
        if folder is self._folders.own:
            return folder.queue.settle(claim, result, report)
        self._folders.see_off(claim)
        return None

    def release(self, claim: Claim, journal: Journal) -> str | None:
        folder = self._folders.of(claim)
        if claim not in self._before:
            self._in_tables(claim, lambda queue, gate: queue.release(gate, journal))
        if folder is self._folders.own:
            return folder.queue.release(claim, journal)
        self._folders.see_off(claim)
        return None

    def is_lost(self, claim: Claim) -> bool:
        return claim in self._lost

    def locks(self) -> tuple[str, ...]:
        """Of what is in hand here, as the folders say."""
        return tuple(naming.lock_of(claim.document) for claim in self._own_claims())

    def _own_claims(self) -> list[Claim]:
        own = self._folders.own.queue.claims()
        mine = [
            claim for claim in own if claim.worker == self._host or self._rows.row_of(claim.task_id) is None
        ]
        return [*mine, *self._folders.guests.queue.claims()]

    def _begin(self, row: TaskRow, now: datetime) -> Claim:
        """Claim it in its folder, too."""
        if row.intake == self._host:
            self._mirror.let_go(row)
            self._folders.restore(row)
            self._folders.write_history(row)
            folder = self._folders.own
        else:
            self._folders.receive(row)
            folder = self._folders.guests
        return folder.queue.claim(row.name, worker=self._host, now=now)

    def _without_folder(self, row: TaskRow, *, is_begun_here: bool) -> Claim | None:
        """One that is held in the tables only: this host was killed at its claim, or took it over from a dead one."""
        assert row.claim is not None
        if is_begun_here:
            self._give_back(row.claim)
            return None
        now = self._clock.now()
        try:
            claim = self._begin(row, now)
        except ClaimHeld:
            return None  # tried again at the next look
        folder = self._folders.of(claim)
        why = f"host '{row.claim.worker}' is taken for dead, and its attempt with it"
        folder.attempts.abandon(claim, now=now)
        outcome = Outcome(OutcomeKind.CRASHED, why, lost_session=True)
        folder.attempts.commit(claim, bare_ending(claim, outcome, by="recovery", now=now))
        return claim

    def _give_back(self, gate: Claim) -> None:
        queue = self._engine().queue
        queue.release(gate, queue.journal(gate))

    def _in_tables(self, claim: Claim, step: Callable[[FleetQueue, Claim], object]) -> None:
        """Take *step* there as the claim that the row names. Raises ClaimLost once the folder has let go, too."""
        engine, row = self._engine(), self._rows.row_of(claim.task_id)
        gate = claim if row is None or row.claim is None else row.claim
        if row is not None and row.claim is not None and row.host == self._host != row.intake:
            lines = [line.rstrip("\n") for line in self._folders.of(claim).attempts.transcript(claim)]
            engine.leased.add_frames(gate, 0, lines, held=HeldFrames(), room=MOST_OF_A_TRANSCRIPT)
        try:
            step(engine.queue, gate)
        except ClaimLost:
            folder = self._folders.of(claim)
            if folder is self._folders.own:
                folder.queue.release(claim, folder.queue.journal(claim))
            else:
                self._folders.see_off(claim)
            raise


class JoinedAttempts:
    """Implements ports.attempt_log.AttemptLog: each attempt is where it is carried out."""

    def __init__(self, folders: HostFolders) -> None:
        self._folders = folders

    def place_of(self, claim: Claim) -> AttemptPlace:
        return self._folders.of(claim).attempts.place_of(claim)

    def run_of(self, claim: Claim) -> RunRecord | None:
        return self._folders.of(claim).attempts.run_of(claim)

    def runs_out_of_sight(self, claim: Claim) -> bool:
        return self._folders.of(claim).attempts.runs_out_of_sight(claim)

    def abandon(self, claim: Claim, *, now: datetime) -> RunRecord:
        return self._folders.of(claim).attempts.abandon(claim, now=now)

    def commit(self, claim: Claim, ending: Ending) -> Ending:
        return self._folders.of(claim).attempts.commit(claim, ending)

    def ending_of(self, claim: Claim) -> Ending | None:
        return self._folders.of(claim).attempts.ending_of(claim)

    def is_genuine(self, claim: Claim, ending: Ending) -> bool:
        return self._folders.of(claim).attempts.is_genuine(claim, ending)

    def set_ending_aside(self, claim: Claim) -> None:
        self._folders.of(claim).attempts.set_ending_aside(claim)

    def transcript(self, claim: Claim) -> Iterable[str]:
        return self._folders.of(claim).attempts.transcript(claim)

    def steps(self, claim: Claim) -> Sequence[str]:
        return self._folders.of(claim).attempts.steps(claim)

    def may_have_acted(self, claim: Claim) -> bool:
        return self._folders.of(claim).attempts.may_have_acted(claim)


class JoinedRequests:
    """Implements ports.requests.Requests. People ask in the folder; ``JoinedEngine`` passes on what concerns others."""

    def __init__(self, folders: HostFolders, queue: JoinedQueue) -> None:
        self._folders, self._queue = folders, queue

    def request_cancel(self, task_id: TaskId) -> None:
        self._folders.own.requests.request_cancel(task_id)

    def requeue(self, task_id: TaskId, wish: RetryWish = NO_WISH) -> None:
        self._folders.own.requests.requeue(task_id, wish)

    def cancel_requested(self, claim: Claim) -> bool:
        return self._queue.is_lost(claim) or self._folders.of(claim).requests.cancel_requested(claim)

    def document_is_gone(self, claim: Claim) -> bool:
        return self._folders.of(claim).requests.document_is_gone(claim)


class JoinedEngine:
    """Implements ports.store.ServedEngine."""

    def __init__(self, source: JoinedSource, closed: Callable[[], object]) -> None:
        self._host, self._life, self._engine, self._slots = (
            source.host,
            source.life,
            source.engine,
            source.slots,
        )
        self._folders, self._rows, self._mirror = source.folders, source.rows, source.mirror
        self._closed = closed
        self._intake = Intake(source.host, source.folders, source.rows, is_shared=source.is_shared)
        self._queue = JoinedQueue(source)
        self.queue, self.attempts = self._queue, JoinedAttempts(source.folders)
        self.requests = JoinedRequests(source.folders, self._queue)
        own = source.folders.own
        self.arrived, self.moved = own.arrived, own.moved
        self.changed_ns = own.changed_ns

    def open(self) -> None:
        self._folders.open()
        self._engine().open()

    def close(self) -> None:
        self._folders.own.close()
        self._folders.guests.close()
        self._closed()

    def touch(self, name: str | None = None) -> None:
        self._folders.own.touch(name)

    def is_empty(self) -> bool:
        """What other hosts brought in may wait although the folder is empty."""
        return False

    def state_of(self, task_id: TaskId) -> TaskState | None:
        return self._folders.own.state_of(task_id)

    def survey(self) -> Survey:
        """Bring in what came, show what changed; then what waits here and in the tables."""
        self._mirror.show_all()
        own = self._folders.own.survey()
        self._intake.take_in(own)
        self._take_cancels()
        engine = self._engine()
        engine.touch()  # a task may depend on one of a source that is in no fleet
        found = engine.survey()
        life = self._life()
        is_free = self._rows.is_free(life.life, slots=1, host_slots=self._slots)
        waits = is_free or not len(found.waiting)
        unfit = tuple(each for each in own.rejected if found.has(each[0]))
        rejected = (*found.rejected, *unfit)
        left_out = tuple((naming.document_of(name), why) for name, why in self._intake.left_out.items())
        self._queue.unwanted = frozenset((*found.cancelled, *(name for name, _ in rejected)))
        return Survey(
            found.waiting if is_free else Backlog(),
            rejected,
            ignored=(*own.ignored, *left_out) if left_out else own.ignored,
            cancelled=found.cancelled,
            locks=self._queue.locks() or found.locks,
            look_again_after=own.look_again_after if waits else _LOOK_WHILE_TAKEN_S,
            unread=own.unread,
            dropped=own.dropped,
        )

    def _take_cancels(self) -> None:
        """Let a person's wish of elsewhere be seen where the task runs."""
        for row, _ in self._rows.running_of(self._life().life):
            if row.cancelled:
                folder = self._folders.own if row.intake == self._host else self._folders.guests
                with suppress(UnknownTaskError):  # it has ended just now
                    folder.requests.request_cancel(row.name)
