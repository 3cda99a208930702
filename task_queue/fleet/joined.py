"""A source of a host that has joined a fleet: the tables say who carries a task out, a folder says how that goes.

Each step is taken in the tables first, where only the host that holds the task may take it, and then in the folder. So
whatever is killed in between, the folder is behind and never ahead; what it lacks is done at the next look. Ending what
runs needs the folder alone, so it goes on while the database does not answer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from task_queue.domain.attempt.results import bare_ending
from task_queue.domain.attempt.retry_wish import NO_WISH, RetryWish
from task_queue.domain.document import naming
from task_queue.domain.document.backlog import Backlog
from task_queue.domain.errors import ClaimHeld, ClaimLost, EngineUnavailable, GitError, UnknownTaskError
from task_queue.domain.model import Claim, Ending, Journal, Outcome, OutcomeKind, Result, RunRecord
from task_queue.domain.task import Task, TaskId, TaskState
from task_queue.fleet.engine import FleetEngine
from task_queue.fleet.feed import Touched
from task_queue.fleet.folders import HostFolders
from task_queue.fleet.handed_in import BrokenFilesError, HandedInFiles
from task_queue.fleet.held import HostLife
from task_queue.fleet.intake import Intake
from task_queue.fleet.left_to_others import TRIED_AGAIN_AFTER_S, LeftToOthers
from task_queue.fleet.mirror import MOST_OF_A_TRANSCRIPT, Mirror
from task_queue.fleet.queue import FleetQueue
from task_queue.fleet.rows import Glance, SourceRows, TaskRow
from task_queue.ports.attempt_log import AttemptPlace
from task_queue.ports.clock import Clock
from task_queue.ports.fleet import WorkBase
from task_queue.ports.leased_log import HeldFrames
from task_queue.ports.snapshot import Survey
from task_queue.store.folder.artifacts import Artifacts

log = logging.getLogger(__name__)
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
    """Of the host; ``claiming`` is what its sources take turns by."""
    claiming: threading.Lock
    files: HandedInFiles
    is_shared: bool
    """Other hosts may carry its tasks out."""


class JoinedQueue:
    """Implements ports.queue.Queue."""

    def __init__(self, source: JoinedSource, changed: Callable[[str], None]) -> None:
        """*changed* is called with a document that the folder may say other things of than the tables."""
        self._host, self._life, self._engine = source.host, source.life, source.engine
        self.changed = changed
        self._folders, self._rows, self._mirror = source.folders, source.rows, source.mirror
        self._clock, self._files = source.clock, source.files
        self._slots, self._claiming = source.slots, source.claiming
        self.left = LeftToOthers(source.clock)
        self.unwanted: frozenset[TaskId] = frozenset()
        """Those that are claimed to be ended only, as the last survey found: they need not wait for what runs."""
        self._lost: frozenset[Claim] = frozenset()
        self._before: frozenset[Claim] = frozenset()
        """Claims of before the source was in the fleet."""
        self._in_fleet: set[TaskId] = set()
        """Records of claims of the own folder that are known to be in the tables."""

    def claim(self, task_id: TaskId, *, worker: str, now: datetime) -> Claim:  # noqa: ARG002 - it is the host
        row = self._rows.open_row(task_id)
        if row is None or (row.intake == self._host and self._folders.text_of(task_id) != row.document):
            self.changed(naming.document_of(task_id))  # or it would be tried again until an event comes
            raise ClaimHeld(f"{task_id} is being changed")
        if task_id not in self.unwanted:
            self._receive_base(row)
        if row.journal is not None and self._rows.last_host(row.record) not in {None, self._host}:
            # Its session and its checkout are on the disk of the host that began it.
            row = replace(row, journal=replace(row.journal, fresh=True))
        gate = self._gate(task_id, now)
        try:
            return self._begin(row, now, has_files=task_id not in self.unwanted)
        except BrokenFilesError as error:
            self._give_back(gate)
            self.left.broken[task_id] = str(error)
            raise ClaimHeld(str(error)) from error
        except (ClaimHeld, EngineUnavailable):
            self._give_back(gate)
            raise

    def _gate(self, task_id: TaskId, now: datetime) -> Claim:
        """Claim it in the tables. One source after the other: what a host may have counts over all of them."""
        if task_id in self.unwanted:
            return self._engine(_MANY).queue.claim(task_id, worker=self._host, now=now)
        with self._claiming:
            if not self._rows.is_free(self._life().life, slots=1, host_slots=self._slots):
                raise ClaimHeld(f"{task_id}: its source, or this host, has as many tasks as it may have")
            return self._engine().queue.claim(task_id, worker=self._host, now=now)

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
        before = local.keys() - self._rows.known(local.keys())
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
            self._in_tables(claim, lambda queue, gate: queue.settle(gate, result, report), result)
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
        others = {claim.task_id for claim in own if claim.worker != self._host}
        self._in_fleet = (self._in_fleet & others) | self._rows.known(others - self._in_fleet)
        mine = [claim for claim in own if claim.worker == self._host or claim.task_id not in self._in_fleet]
        return [*mine, *self._folders.guests.queue.claims()]

    def _begin(self, row: TaskRow, now: datetime, *, has_files: bool) -> Claim:
        """Claim it in its folder, too; *has_files*: with what was handed in with it."""
        if row.intake == self._host:
            self._mirror.let_go(row)
            self._folders.restore(row)
            self._folders.write_history(row)
            folder = self._folders.own
        else:
            self._folders.receive(row)
            folder = self._folders.guests
            if has_files and row.intake is not None:
                self._files.fetch(row.intake, row.name, Artifacts(folder.layout, row.record))
        return folder.queue.claim(row.name, worker=self._host, now=now)

    def _without_folder(self, row: TaskRow, *, is_begun_here: bool) -> Claim | None:
        """One that is held in the tables only: this host was killed at its claim, or took it over from a dead one."""
        assert row.claim is not None
        if is_begun_here:
            self._give_back(row.claim)
            return None
        now = self._clock.now()
        standing = self._folders.claim_on(row.name) if row.intake == self._host else None
        try:
            claim = standing or self._begin(row, now, has_files=False)
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

    def _receive_base(self, row: TaskRow) -> None:
        if row.intake is None or row.intake == self._host:
            return
        why = self.left.why_not(row.intake)
        base = None if why is not None else self._rows.base_of(row.intake)
        if base is not None:
            try:
                self._folders.checkout.receive_base(base)
            except OSError as error:
                raise EngineUnavailable(f"what {row.name} begins with: {error}") from error
            except GitError as error:
                why = (
                    f"it is left to other hosts: it begins with {base.commit[:12]} of host {row.intake}, which cannot "
                    f"be had here: {error}; bring the checkout here up to date with that host's"
                )
                self.left.note_host(row.intake, why)
                log.warning("left to other hosts task=%s why=%s", row.name, why)
        if why is not None:
            self.left.leave(row.name, row.intake)
            raise ClaimHeld(why)

    def _bundle_of(self, claim: Claim, result: Result) -> bytes | None:
        try:
            return self._folders.checkout.bundle_of(claim.task_id, result.product)
        except (GitError, OSError) as error:  # they are in the checkout here, and the result says so
            log.warning("commits not handed over task=%s error=%s", claim.task_id, error)
            return None

    def _in_tables(
        self, claim: Claim, step: Callable[[FleetQueue, Claim], object], result: Result | None = None
    ) -> None:
        """Take *step* there as the claim that the row names. Raises ClaimLost once the folder has let go, too."""
        engine, row = self._engine(), self._rows.row_of(claim.task_id)
        gate = claim if row is None or row.claim is None else row.claim
        if row is not None and row.claim is not None and row.host == self._host != row.intake:
            lines = [line.rstrip("\n") for line in self._folders.of(claim).attempts.transcript(claim)]
            engine.leased.add_frames(gate, 0, lines, held=HeldFrames(), room=MOST_OF_A_TRANSCRIPT)
            if result is not None and result.product.commits and row.intake is not None:
                self._rows.keep_bundle(claim.task_id, self._bundle_of(claim, result))
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
        folder = self._folders.of(claim)
        place = folder.attempts.place_of(claim)
        if folder is self._folders.own:
            return place
        return replace(place, base_commit=self._folders.checkout.received_base())

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

    def __init__(self, key: str, source: JoinedSource, closed: Callable[[], object]) -> None:
        """*key* of the source in the tables."""
        self._key = key
        self._host, self._life, self._engine, self._slots = (
            source.host,
            source.life,
            source.engine,
            source.slots,
        )
        self._folders, self._rows, self._mirror = source.folders, source.rows, source.mirror
        self._closed = closed
        self._intake = Intake(
            source.host, source.folders, source.rows, source.files, is_shared=source.is_shared
        )
        self._queue = JoinedQueue(source, self.touch)
        self.queue, self.attempts = self._queue, JoinedAttempts(source.folders)
        self.requests = JoinedRequests(source.folders, self._queue)
        self._is_shared = source.is_shared
        self._base: WorkBase | None = None
        self._surveyed: FleetEngine | None = None
        self._lacks_room = False
        """At the last look its source, or the host, had as many tasks as it may have."""
        self.moved, self.changed_ns = source.folders.own.moved, source.folders.own.changed_ns

    def open(self) -> None:
        self._folders.open()
        self._engine().open()

    def close(self) -> None:
        self._folders.own.close()
        self._folders.guests.close()
        self._closed()

    def touch(self, name: str | None = None) -> None:
        self._intake.touch(name)
        self._folders.own.touch(name)

    def arrived(self, name: str) -> None:
        self._intake.touch(name)
        self._folders.own.arrived(name)

    def is_concerned(self, touched: Touched) -> bool:
        """Whether a look could find something else than the last one. For any thread."""
        engine = self._surveyed
        if engine is None or touched.is_all or self._lacks_room or self._key in touched.sources:
            return True
        return engine.may_be_moved_by(touched.names)

    def is_empty(self) -> bool:
        """What other hosts brought in may wait although the folder is empty."""
        return False

    def state_of(self, task_id: TaskId) -> TaskState | None:
        return self._folders.own.state_of(task_id)

    def survey(self) -> Survey:
        """Bring in what came, show what changed; then what waits here and in the tables."""
        life, engine = self._life().life, self._engine()
        names = self._intake.begin()
        glance = self._rows.glance(life, names, slots=1, host_slots=self._slots)
        waiting_here = [*glance.waiting_here, *self._show(glance)]
        own = self._folders.own.survey()
        if self._is_shared and (self._base is None or len(own.waiting)):
            self._publish_base()  # before others can see what begins with it
        self._intake.take_in(own, waiting_here)
        self._take_cancels(glance)
        engine.touch()  # a task may depend on one of a source that is in no fleet
        found, self._surveyed = engine.survey(), engine
        if self._is_shared:
            for task in tuple(found.waiting):
                if task.lacks:  # another host may have it: it is not for a person here
                    found.waiting.discard(task.id)
        is_free, self._lacks_room = glance.is_free, not glance.is_free
        waits = is_free or not len(found.waiting)
        unfit = tuple(each for each in own.rejected if found.has(each[0]))
        left = self._queue.left.now()
        broken = {name: why for name, why in self._queue.left.broken.items() if found.has(name)}
        self._queue.left.broken = broken
        rejected, cancelled = (*found.rejected, *unfit, *broken.items()), found.cancelled
        if (rejected or cancelled) and glance.is_draining:
            rejected, cancelled = (), ()  # they are claimed to be ended, and it claims nothing
        look_again_after = own.look_again_after if waits else _LOOK_WHILE_TAKEN_S
        if left:
            look_again_after = min(look_again_after or TRIED_AGAIN_AFTER_S, TRIED_AGAIN_AFTER_S)
        left_out = tuple(
            (naming.document_of(name), why) for name, why in (*self._intake.left_out.items(), *left.items())
        )
        waiting = found.waiting
        if left or broken:
            waiting = Backlog(task for task in waiting if task.id not in left and task.id not in broken)
        self._queue.unwanted = frozenset((*cancelled, *(name for name, _ in rejected)))
        return Survey(
            waiting if is_free else Backlog(),
            rejected,
            ignored=(*own.ignored, *left_out) if left_out else own.ignored,
            cancelled=cancelled,
            locks=self._queue.locks() or found.locks,
            look_again_after=look_again_after,
            unread=own.unread,
            dropped=own.dropped,
        )

    def _publish_base(self) -> None:
        try:
            base = self._folders.checkout.base(self._base)
        except (GitError, OSError) as error:
            log.warning("what is checked out is not known error=%s", error)
            return
        if base is not None and base != self._base:
            self._rows.publish_base(base)
            self._base = base

    def _show(self, glance: Glance) -> list[TaskId]:
        """Let the folder say how they stand; those of them that wait, and that a person may have taken out since."""
        self._mirror.show(glance.to_show)
        names = [row.name for row in glance.to_show]
        self._intake.look_at(names)
        return self._rows.waiting_here(names) if names else []

    def _take_cancels(self, glance: Glance) -> None:
        """Let a person's wish of elsewhere be seen where the task runs."""
        for name, intake in glance.to_cancel:
            folder = self._folders.own if intake == self._host else self._folders.guests
            with suppress(UnknownTaskError):  # it has ended just now
                folder.requests.request_cancel(name)
