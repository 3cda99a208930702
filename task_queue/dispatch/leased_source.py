"""One source whose tasks workers claim: what waits in it, who holds what, and how each claim comes to its end."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from task_queue.daemon.claimed_tasks import ClaimedTasks
from task_queue.daemon.context import SourceContext
from task_queue.daemon.supervision import Supervision
from task_queue.dispatch.accounts import WorkerAccounts
from task_queue.dispatch.claim_ids import ClaimId
from task_queue.domain import events
from task_queue.domain.attempt.proof import proof_of
from task_queue.domain.attempt.results import attempts_before, bare_ending
from task_queue.domain.attempt.spending import renewed
from task_queue.domain.claim_keys import KeptKey, kept_key
from task_queue.domain.document import naming
from task_queue.domain.document.ordering import DependencyFailed, OnHold, Ready, Waiting
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import ClaimHeld, EngineUnavailable, TaskFileError, TaskQueueError
from task_queue.domain.lease import WORKER, ClaimStanding, Lease, LeaseTerms, lease_from
from task_queue.domain.model import Claim, Outcome, OutcomeKind, Owner, RunRecord, Work
from task_queue.domain.task import TaskId
from task_queue.platform.wakeup import Wakeup
from task_queue.ports.claims import (
    KeyedOrder,
    ReportFaultError,
    ToldProgress,
    UnknownClaimError,
    WorkerReport,
    WorkOrder,
)
from task_queue.ports.executor import marker_of
from task_queue.ports.leased_log import HeldFrames, LeasedLog
from task_queue.ports.snapshot import Survey

_MOST_LOOKS = 100
"""In one go, of which each ended something that waited."""
LOOK_AGAIN_AFTER_TROUBLE_S = 5.0
_LEAST_USD = 0.0001
"""Less is written as nothing in a document."""
NOT_HANDED_OUT = Outcome(
    OutcomeKind.UNAVAILABLE, "it could not be handed out to a worker: the log of the API says why"
)


@dataclass(slots=True)
class OpenClaim:
    """A claim in the hands of a worker."""

    claim: Claim
    lease: Lease
    last_seen: datetime
    task: Waiting | None = None
    """As it waited."""
    allowance_usd: float | None = None
    """What its attempt may spend; None: no bound."""
    turns_used: int = 0
    """By earlier attempts."""
    progress: ToldProgress = field(default_factory=ToldProgress)
    frames: HeldFrames | None = None
    """None: not counted yet."""
    is_begun: bool = False
    """A run record says durably who holds it."""
    key: KeptKey | None = None
    """Under which its worker asked for it."""
    report: WorkerReport | None = None
    is_seen_to: bool = False
    """What follows from the report was begun."""
    unstarted: Outcome | None = None
    """No worker got it: it ends so."""
    is_over: bool = False
    """Its ending is committed, or it has none: it is only to be concluded."""

    def of_this_attempt(self, settings: Settings) -> Settings:
        """*settings* of its task, with what earlier attempts left of its bounds, and the day of its money."""
        left = replace(settings, max_turns=max(1, settings.max_turns - self.turns_used))
        return left if self.allowance_usd is None else replace(left, max_budget_usd=self.allowance_usd)

    @property
    def worker(self) -> str:
        return self.lease.terms.worker

    def is_live(self, now: float) -> bool:
        """It is in its worker's hands, which has not said how it ended; *now* as in ``Lease``."""
        return self.is_begun and self.report is None and not self.is_over and not self.lease.is_over(now)


class LeasedSource:
    """Not thread-safe: its caller holds a lock. Methods raise EngineUnavailable, but for ``look``."""

    def __init__(
        self,
        context: SourceContext,
        leased: LeasedLog,
        accounts: WorkerAccounts,
        *,
        finish: Callable[[LeasedSource, OpenClaim], None],
    ) -> None:
        """*finish* sees to it that what a worker reported is settled, now or later (``settle``)."""
        self.id = context.source
        self.held: dict[tuple[TaskId, int], OpenClaim] = {}
        self.trouble: str | None = None
        """Why nothing of it can be claimed, for people."""
        self.engine = context.engine
        self.leased = leased
        self._context = context
        self._tasks = ClaimedTasks(context)
        self._accounts = accounts
        self._finish = finish
        self._is_open = False
        self._trouble_ends = 0.0
        self._idle = Wakeup()
        self._seen = Survey()

    def look(self) -> Survey | None:
        """Act on what ended, or was given up, since the last look; None while the source cannot be used."""
        now = self._context.clock.monotonic()
        if self.trouble is not None and now < self._trouble_ends:
            return None
        try:
            survey = self._seen = self._look()
        except (EngineUnavailable, OSError) as error:
            why = error.in_full if isinstance(error, TaskQueueError) else str(error)
            self._is_open = False
            self._trouble_ends = now + LOOK_AGAIN_AFTER_TROUBLE_S
            self._context.dedupe.seen(self.id)
            if why != self.trouble:
                self.trouble = why
                self._context.emit(events.SourceUnavailable(self.id, why))
            return None
        if self.trouble is not None:
            self.trouble = None
            self._context.emit(events.SourceRecovered(self.id))
        return survey

    def first(self, survey: Survey | None, screen: Callable[[Waiting], str | None]) -> Waiting | None:
        """The first task of *survey* in order that may start and that *screen* says nothing against."""
        for _ in range(_MOST_LOOKS):
            if survey is None:
                return None
            now, state_of = self._context.clock.now(), self._context.state_of
            match survey.waiting.next(now=now, state_of=state_of, screen=screen):
                case Ready(task=task):
                    return task
                case DependencyFailed(task=task, reason=reason):
                    self._end_unstarted(task.id, Outcome(OutcomeKind.CANCELLED, reason))
                    survey = self.look()
                case _:
                    return None
        return None

    @property
    def has_waiting(self) -> bool:
        return len(self._seen.waiting) > 0

    def first_held(self, screen: Callable[[Waiting], str | None] | None) -> str | None:
        """Why the first task that may start now does not, as *screen* says of each."""
        now, state_of = self._context.clock.now(), self._context.state_of
        match self._seen.waiting.next(now=now, state_of=state_of, screen=screen):
            case OnHold(reason=reason):
                return reason
            case _:
                return None

    def next_due_s(self) -> float | None:
        """In how many seconds something of it is due by itself."""
        now, monotonic = self._context.clock.now(), self._context.clock.monotonic()
        if self.trouble is not None:
            return max(0.0, self._trouble_ends - monotonic)
        survey = self._seen
        due = survey.waiting.next_due(now)
        ends = [hold.lease.ends_at - monotonic for hold in self.held.values() if hold.report is None]
        waits = [survey.look_again_after, None if due is None else (due - now).total_seconds(), *ends]
        return min((max(0.0, wait) for wait in waits if wait is not None), default=None)

    def take(self, task: Waiting, terms: LeaseTerms) -> OpenClaim | None:
        """Claim *task*; None if that is not possible any more."""
        if self._context.dedupe.start(self.id, task.id) is not None:
            return None
        now = self._context.clock.now()
        try:
            claim = self.engine.queue.claim(task.id, worker=terms.worker, now=now)
        except BaseException as error:
            self._context.dedupe.stop(self.id, task.id)
            if isinstance(error, ClaimHeld):
                return None
            raise
        hold = self._hold(claim, terms, task)
        try:
            self.engine.queue.task(claim)
        except TaskFileError as error:
            self.give_back(hold, Outcome(OutcomeKind.REJECTED, error.in_full))
            return None
        except BaseException:
            hold.unstarted = NOT_HANDED_OUT
            raise
        own = self._tasks.may_spend(claim) if task.uses_agent else None
        if task.uses_agent:
            allowance = self._accounts.limits.allowance(self.id, task.id, own)
            hold.allowance_usd = own if allowance is None else allowance
            earlier = attempts_before(self.engine.queue.journal(claim), claim)
            hold.turns_used = sum(attempt.num_turns for attempt in earlier)
        if hold.allowance_usd is not None and hold.allowance_usd < _LEAST_USD:
            spent = Outcome(OutcomeKind.BUDGET, "the budget is spent")
            self.give_back(hold, self._renewed(hold, spent))
            return None
        self._context.emit(events.TaskClaimed(self.id, claim.task_id, claim.attempt, claim.resumes))
        return hold

    def _renewed(self, hold: OpenClaim, outcome: Outcome) -> Outcome:
        own = self._tasks.may_spend(hold.claim)
        now = self._context.clock.now()
        return renewed(outcome, own_left_usd=own, allowance_usd=hold.allowance_usd, now=now)

    def note(self, hold: OpenClaim, order: WorkOrder, key: str | None) -> ClaimId:
        """Make it durable that a worker holds the claim, under *key*; the id by which the worker speaks of it.

        Takes its time; needs no lock.
        """
        claim = hold.claim
        token = self.engine.queue.token_of(claim)
        hold.key = None if key is None else kept_key(key, proof=claim.proof, token=token)
        run = RunRecord(
            claim.task_id,
            claim.attempt,
            marker_of(self.id, claim),
            Owner(WORKER, hold.worker),
            self._context.clock.now(),
            claim=claim,
            lease=hold.lease.terms,
        )
        self.leased.begin(run, None if hold.key is None else KeyedOrder(hold.key, order))
        return ClaimId(self.id, claim.task_id, claim.attempt, token)

    def begin(self, hold: OpenClaim) -> None:
        """It is in its worker's hands from now on."""
        clock = self._context.clock
        hold.is_begun, hold.last_seen = True, clock.now()
        hold.lease = lease_from(hold.lease.terms, clock.monotonic())

    def asked_again(self, worker: str, key: str) -> tuple[OpenClaim, ClaimId, WorkOrder] | None:
        """The live claim that *worker* got under *key*, its lease renewed."""
        self.look()
        now = self._context.clock.monotonic()
        for hold in self.held.values():
            if hold.key is None or hold.worker != worker or not hold.is_live(now):
                continue
            claim = hold.claim
            token = hold.key.token_for(key, claim.proof)
            if token is not None:
                keyed = self.leased.keyed_order_of(claim)
                if keyed is None:
                    raise EngineUnavailable(f"the order of {claim.task_id} cannot be read")
                self.renew(hold, ToldProgress())
                return hold, ClaimId(self.id, claim.task_id, claim.attempt, token), keyed.order
        return None

    def give_back(self, hold: OpenClaim, outcome: Outcome) -> None:
        """End what was claimed and not handed out; what of that fails is done at a later look."""
        hold.unstarted = outcome
        self.engine.attempts.abandon(hold.claim, now=self._context.clock.now())
        self._supervision(hold.worker).commit(hold.claim, outcome)
        self._conclude(hold)

    def standing_of(self, key: ClaimId) -> tuple[ClaimStanding, OpenClaim | None]:
        """What is known of the claim that *key* names. Raises UnknownClaimError."""
        if not self._is_open:
            self.look()
        hold = self.held.get((key.task_id, key.attempt))
        if hold is not None and hold.is_begun:
            claim, worker = hold.claim, hold.worker
        else:
            self._demand_open()
            run = self.leased.run_of(key.task_id, key.attempt)
            if run is None or run.claim is None or run.lease is None:
                raise UnknownClaimError("there is no such claim")
            hold, claim, worker = None, run.claim, run.lease.worker
        if not hmac.compare_digest(proof_of(key.token), claim.proof):
            raise UnknownClaimError("there is no such claim")
        now = self._context.clock.monotonic()
        return ClaimStanding(
            worker,
            claim.attempt,
            last_epoch=self.leased.last_attempt(key.task_id) if hold is None else claim.attempt,
            is_live=hold is not None and not hold.lease.is_over(now),
            is_reported=self.leased.report_of(claim) is not None if hold is None else hold.report is not None,
        ), hold

    def renew(self, hold: OpenClaim, progress: ToldProgress) -> None:
        clock = self._context.clock
        hold.lease, hold.last_seen = hold.lease.renewed(clock.monotonic()), clock.now()
        hold.progress = ToldProgress(
            percent=max(hold.progress.percent or 0.0, progress.percent)
            if progress.percent is not None
            else hold.progress.percent,
            step=progress.step or hold.progress.step,
            turns=hold.progress.turns if progress.turns is None else progress.turns,
            cost_usd=hold.progress.cost_usd if progress.cost_usd is None else progress.cost_usd,
            last_frame_at=progress.last_frame_at or hold.progress.last_frame_at,
        )
        if progress.percent is not None or progress.step is not None:
            with suppress(EngineUnavailable):  # a full disk ends no lease
                self.leased.note_progress(hold.claim, progress)

    def is_cancelled(self, hold: OpenClaim) -> bool:
        return self.engine.requests.cancel_requested(hold.claim) or self.engine.requests.document_is_gone(
            hold.claim
        )

    def add_frames(self, hold: OpenClaim, offset: int, lines: Sequence[str], *, room: int) -> int:
        """Raises FramesMissingError."""
        if hold.frames is None:
            hold.frames = self.leased.frames_of(hold.claim)
        held = hold.frames
        hold.frames = None  # what a write that failed left is counted again
        hold.frames = self.leased.add_frames(hold.claim, offset, lines, held=held, room=room)
        return hold.frames.count

    def report(self, hold: OpenClaim, report: WorkerReport) -> bool:
        """Keep *report* and see to what follows; False if there was one. Raises ReportFaultError."""
        if report.handed_in is not None and not self.leased.has_artifact(hold.claim, report.handed_in.bundle):
            raise ReportFaultError(
                "handed_in.bundle", "there is no artifact of that name that is whole: hand it in first"
            )
        report = replace(report, outcome=self._renewed(hold, report.outcome))
        is_first = self.leased.report(hold.claim, report)
        hold.report = self.leased.report_of(hold.claim) or report
        hold.last_seen = self._context.clock.now()
        self._see_to(hold)
        return is_first

    def _see_to(self, hold: OpenClaim) -> None:
        """Let follow what the report of *hold* leads to; what of that fails is done at a later look."""
        try:
            self._finish(self, hold)
        except EngineUnavailable:
            self._context.on_change()
            raise
        hold.is_seen_to = True

    def settle(self, hold: OpenClaim, outcome: Outcome, work: Work) -> None:
        """End the attempt as its worker says, or as what was made of that."""
        claim, token = hold.claim, hold.report.token if hold.report is not None else ""
        ending = bare_ending(claim, outcome, by="runner", now=self._context.clock.now(), work=work)
        self.engine.attempts.commit(claim, replace(ending, token=token))
        self._conclude(hold)

    def expire(self, hold: OpenClaim) -> None:
        """The lease is over: what is known of the attempt decides."""
        why = f"the lease of {hold.worker} ended, and it was not heard of for {hold.lease.terms.seconds:g} s"
        self._supervision(hold.worker).give_up(
            hold.claim, Outcome(OutcomeKind.CRASHED, why, lost_session=True)
        )
        self._conclude(hold)

    def _demand_open(self) -> None:
        """What was claimed before is not known while the source cannot be used."""
        if not self._is_open:
            raise EngineUnavailable(f"source '{self.id}' cannot be used now: {self.trouble}")

    def _look(self) -> Survey:
        if not self._is_open:
            self.engine.open()
            self._adopt()
            self._accounts.limits.looked(self.id)
            self._is_open = True
        self._end_what_is_over()
        for _ in range(_MOST_LOOKS):
            survey = self._survey()
            if set(survey.locks) != {naming.lock_of(hold.claim.document) for hold in self.held.values()}:
                self._adopt()
                self._end_what_is_over()
                survey = self._survey()
            if not self._end_unwanted(survey):
                return survey
        return self._survey()

    def _adopt(self) -> None:
        """Claims that an earlier process left, and those whose lock came back after it was removed."""
        for claim in self.engine.queue.claims():
            if (claim.task_id, claim.attempt) in self.held:
                continue
            run = self.leased.run_of(claim.task_id, claim.attempt)
            terms = LeaseTerms(claim.worker, 0) if run is None or run.lease is None else run.lease
            hold = self._hold(claim, terms, self._tasks.as_it_waited(claim))
            hold.is_begun = run is not None
            hold.is_over = run is None or self.leased.has_ended(claim)
            if not hold.is_over:
                hold.allowance_usd = self._counted_in(hold)
                self._context.emit(events.TaskAdopted(self.id, claim.task_id, claim.attempt))
                keyed = self.leased.keyed_order_of(claim)
                hold.key = None if keyed is None else keyed.key
                hold.report = self.leased.report_of(claim)

    def _counted_in(self, hold: OpenClaim) -> float | None:
        """Take a place for what a worker has in its hands already; what it may spend."""
        claim = hold.claim
        own = self._tasks.may_spend(claim)
        task_id = naming.task_id_of(claim.document)
        allowance = self._accounts.limits.count_in(self.id, task_id, own, hold.task)
        return own if allowance is None else allowance

    def _end_what_is_over(self) -> None:
        now = self._context.clock.monotonic()
        for hold in list(self.held.values()):
            if hold.is_over:
                self._conclude(hold)
            elif hold.unstarted is not None:
                self.give_back(hold, hold.unstarted)
            elif hold.report is not None and not hold.is_seen_to:
                self._see_to(hold)
            elif hold.is_begun and hold.report is None and hold.lease.is_over(now):
                self.expire(hold)

    def _hold(self, claim: Claim, terms: LeaseTerms, task: Waiting | None) -> OpenClaim:
        clock = self._context.clock
        hold = OpenClaim(claim, lease_from(terms, clock.monotonic()), clock.now(), task)
        self.held[claim.task_id, claim.attempt] = hold
        self._context.on_change()
        return hold

    def _conclude(self, hold: OpenClaim) -> None:
        hold.is_over = True
        try:
            self._supervision(hold.worker).conclude(hold.claim)
        except OSError as error:
            raise EngineUnavailable(f"the end of {hold.claim.task_id} cannot be noted: {error}") from error
        del self.held[hold.claim.task_id, hold.claim.attempt]
        task_id = naming.task_id_of(hold.claim.document)
        self._context.dedupe.stop(self.id, task_id)
        self._accounts.of(hold.worker).leave(self.id, task_id)
        self._context.on_change()

    def _supervision(self, worker: str) -> Supervision:
        return Supervision(
            replace(self._context, admission=self._accounts.of(worker)),
            wakeup=self._idle,
            stopping=lambda: False,
            at_once=lambda: False,
            meanwhile=lambda: None,
        )

    def _survey(self) -> Survey:
        survey = self.engine.survey()
        self._context.dedupe.seen(self.id)
        for task_id in survey.dropped:
            if self._context.is_new(task_id, self.engine.changed_ns(task_id)):
                self._context.emit(events.TaskDropped(self.id, task_id))
        return survey

    def _end_unwanted(self, survey: Survey) -> bool:
        """End what was rejected or cancelled while it waited; whether there was any."""
        cancelled = Outcome(OutcomeKind.CANCELLED, "cancelled before it started")
        unwanted: Iterable[tuple[TaskId, Outcome]] = (
            *((task_id, Outcome(OutcomeKind.REJECTED, reason)) for task_id, reason in survey.rejected),
            *((task_id, cancelled) for task_id in survey.cancelled),
        )
        for task_id, outcome in unwanted:
            self._end_unstarted(task_id, outcome)
        return bool(survey.rejected or survey.cancelled)

    def _end_unstarted(self, task_id: TaskId, outcome: Outcome) -> None:
        """Claim a task only to settle it: it is never handed out."""
        self._context.dedupe.end(self.id, task_id)
        with suppress(ClaimHeld):
            claim = self.engine.queue.claim(task_id, worker=self.id, now=self._context.clock.now())
            if outcome.kind is OutcomeKind.REJECTED:
                self._context.emit(events.TaskRejected(self.id, task_id, outcome.reason))
            self.give_back(self._hold(claim, LeaseTerms(self.id, 0), None), outcome)
