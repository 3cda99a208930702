"""The claims of all sources that workers serve, on folders: one lock, so that nothing is given twice."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from task_queue.dispatch.accounts import WorkerAccounts
from task_queue.dispatch.claim_ids import ClaimId, claim_id_in
from task_queue.dispatch.leased_source import NOT_HANDED_OUT, LeasedSource, OpenClaim
from task_queue.domain.document.ordering import Waiting, place_in_order
from task_queue.domain.errors import EngineUnavailable, TaskFileError, TaskQueueError
from task_queue.domain.lease import Refusal, directive_for, refusal_of
from task_queue.domain.model import Outcome, OutcomeKind
from task_queue.domain.task import TaskId
from task_queue.ports.claims import (
    ClaimRefusedError,
    ClaimWish,
    GivenClaim,
    HeldClaim,
    Pulse,
    ToldProgress,
    UnknownClaimError,
    WorkerReport,
    WorkOrder,
)
from task_queue.ports.clock import Clock

_SAID = {
    Refusal.NOT_OWNER: "another worker has that claim",
    Refusal.FENCED: "that epoch of the claim is over: the task has another attempt, or none of that number",
    Refusal.EXPIRED: "the lease ended, and the attempt with it",
}


class SourceRules(Protocol):
    """What the configuration and people say of the sources, as it stands now."""

    def why_closed(self, source: str) -> str | None:
        """Why nothing of *source* starts."""
        ...

    def slots_of(self, source: str) -> int:
        """How many claims it may have at once."""
        ...

    def room_of_transcript(self) -> int:
        """Bytes."""
        ...

    def order_of(self, source: str, hold: OpenClaim) -> WorkOrder:
        """Raises TaskQueueError where it cannot be handed out. Takes its time; needs no lock."""
        ...


class LeasedClaims:
    """Implements ports.claims.Claims. *sources* are those that are served now; who changes them holds ``lock``."""

    def __init__(
        self, sources: Mapping[str, LeasedSource], rules: SourceRules, accounts: WorkerAccounts, clock: Clock
    ) -> None:
        self.lock = threading.RLock()
        self._sources = sources
        self._rules = rules
        self._accounts = accounts
        self._clock = clock
        self._asking: set[tuple[str, str]] = set()
        self._answered = threading.Condition()

    def claim(self, wish: ClaimWish) -> GivenClaim | None:
        if wish.key is None:
            return self._claim_next(wish)
        with self._alone(wish.terms.worker, wish.key):
            return self._asked_again(wish.terms.worker, wish.key) or self._claim_next(wish)

    @contextmanager
    def _alone(self, worker: str, key: str) -> Generator[None]:
        """Who asks again before the first answer is made waits for it."""
        asked = worker, key
        with self._answered:
            self._answered.wait_for(lambda: asked not in self._asking)
            self._asking.add(asked)
        try:
            yield
        finally:
            with self._answered:
                self._asking.remove(asked)
                self._answered.notify_all()

    def _asked_again(self, worker: str, key: str) -> GivenClaim | None:
        with self.lock:
            for source in self._sources.values():
                found = source.asked_again(worker, key)
                if found is not None:
                    return _given(source, *found)
        return None

    def _claim_next(self, wish: ClaimWish) -> GivenClaim | None:
        while True:
            with self.lock:
                asked = self._asked(wish)
            self._accounts.limits.look_at_others()
            for source in asked:
                self._accounts.limits.look_at(source.id)
            with self.lock:
                taken = self._take(wish)
            if taken is None:
                return None
            source, hold = taken
            try:
                order = self._rules.order_of(source.id, hold)
                claim_id = source.note(hold, order, wish.key)
            except TaskQueueError as error:
                with self.lock:
                    source.give_back(hold, _why_not_handed_out(error))
                if isinstance(error, EngineUnavailable):
                    raise
                continue
            except BaseException:
                with self.lock:
                    source.give_back(hold, NOT_HANDED_OUT)
                raise
            with self.lock:
                source.begin(hold)
                return _given(source, hold, claim_id, order)

    def heartbeat(self, claim_id: str, *, epoch: int, worker: str | None, progress: ToldProgress) -> Pulse:
        with self.lock:
            source, hold = self._held(claim_id_in(claim_id), epoch, worker)
            if hold is None:
                raise self._refused(Refusal.EXPIRED, source, claim_id_in(claim_id))
            source.renew(hold, progress)
            directive = directive_for(
                cancelled=source.is_cancelled(hold), closed=self._rules.why_closed(source.id) is not None
            )
            return Pulse(_expiry_of(hold), directive)

    def frames(
        self, claim_id: str, *, epoch: int, worker: str | None, offset: int, lines: Sequence[str]
    ) -> int:
        with self.lock:
            source, hold = self._held(claim_id_in(claim_id), epoch, worker)
            if hold is None:
                raise self._refused(Refusal.EXPIRED, source, claim_id_in(claim_id))
            return source.add_frames(hold, offset, lines, room=self._rules.room_of_transcript())

    def report(self, claim_id: str, *, epoch: int, worker: str | None, report: WorkerReport) -> bool:
        with self.lock:
            key = claim_id_in(claim_id)
            source, hold = self._held(key, epoch, worker)
            if hold is None or hold.report is not None:
                return False
            return source.report(hold, replace(report, token=key.token))

    def demand_held(self, claim_id: str, *, epoch: int, worker: str | None) -> tuple[str, TaskId]:
        with self.lock:
            key = claim_id_in(claim_id)
            source, hold = self._held(key, epoch, worker)
            if hold is None or hold.report is not None:
                raise self._refused(Refusal.EXPIRED, source, key)
            return key.source, key.task_id

    def task_of(self, claim_id: str) -> tuple[str, TaskId]:
        key = claim_id_in(claim_id)
        with self.lock:
            self._source(key).standing_of(key)
        return key.source, key.task_id

    def held(self) -> tuple[HeldClaim, ...]:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        with self.lock:
            return tuple(
                HeldClaim(
                    source.id,
                    hold.claim,
                    hold.worker,
                    hold.last_seen,
                    now + timedelta(seconds=max(0.0, hold.lease.ends_at - monotonic)),
                    hold.progress,
                    hold.report is not None,
                )
                for source in self._sources.values()
                for hold in source.held.values()
                if hold.is_begun
            )

    def sweep(self) -> float | None:
        waits: list[float] = []
        for source_id in list(self._sources):
            with self.lock:
                source = self._sources.get(source_id)
                if source is None:
                    continue
                source.first(source.look(), lambda _: "only what is to be ended is looked for")
                wait_s = source.next_due_s()
            if wait_s is not None:
                waits.append(wait_s)
        return min(waits, default=None)

    def _take(self, wish: ClaimWish) -> tuple[LeasedSource, OpenClaim] | None:
        """The first task in order of all the sources, claimed."""
        passed: set[str] = set()
        while True:
            found: list[tuple[Waiting, LeasedSource]] = []
            for source in self._asked(wish):
                if source.id not in passed and (task := self._first_of(source, wish)) is not None:
                    found.append((task, source))
            if not found:
                return None
            task, source = min(found, key=lambda each: place_in_order(each[0]))
            account = self._accounts.of(wish.terms.worker)
            if account.enter_as_seen(source.id, task, lambda: None) is None:
                hold = None
                try:
                    hold = source.take(task, wish.terms)
                finally:
                    if hold is None:
                        account.leave(source.id, task.id)
                if hold is not None:
                    return source, hold
            if self._first_of(source, wish) == task:
                passed.add(source.id)  # what keeps it is not seen by looking again

    def _asked(self, wish: ClaimWish) -> list[LeasedSource]:
        return [
            source for source in self._sources.values() if wish.sources is None or source.id in wish.sources
        ]

    def _first_of(self, source: LeasedSource, wish: ClaimWish) -> Waiting | None:
        survey = source.look()  # what is over makes room
        if survey is None:
            return None
        if len(source.held) >= self._rules.slots_of(source.id):
            return None
        if self._rules.why_closed(source.id) is not None:
            return None
        account = self._accounts.of(wish.terms.worker).screen(source.id)

        def screen(task: Waiting) -> str | None:
            if not wish.fits(source.id, task):
                return "it is not for that worker"
            return account(task) if account is not None else None

        return source.first(survey, screen)

    def _source(self, key: ClaimId) -> LeasedSource:
        source = self._sources.get(key.source)
        if source is None:
            raise UnknownClaimError("there is no such claim")
        return source

    def _held(self, key: ClaimId, epoch: int, worker: str | None) -> tuple[LeasedSource, OpenClaim | None]:
        """The claim, None where its end was reported and is settled. Raises ClaimRefusedError."""
        source = self._source(key)
        standing, hold = source.standing_of(key)
        refusal = refusal_of(standing, worker=worker, epoch=epoch)
        if refusal is Refusal.EXPIRED:
            source.look()
        if refusal is not None:
            raise self._refused(refusal, source, key)
        return source, hold

    def _refused(self, refusal: Refusal, source: LeasedSource, key: ClaimId) -> ClaimRefusedError:
        return ClaimRefusedError(refusal, _SAID[refusal], state=source.leased.state_of(key.task_id))


def _given(source: LeasedSource, hold: OpenClaim, claim_id: ClaimId, order: WorkOrder) -> GivenClaim:
    claim = hold.claim
    return GivenClaim(str(claim_id), source.id, claim.task_id, claim.attempt, _expiry_of(hold), order)


def _expiry_of(hold: OpenClaim) -> datetime:
    """Unless a sign of life comes before."""
    return hold.last_seen + timedelta(seconds=hold.lease.terms.seconds)


def _why_not_handed_out(error: TaskQueueError) -> Outcome:
    kind = OutcomeKind.REJECTED if isinstance(error, TaskFileError) else OutcomeKind.UNAVAILABLE
    return Outcome(kind, error.in_full)
