"""One claimed task in the hands of its worker: start, wait, repair, conclude.

What is on disk decides what happens next, never what this object remembers: the way from a claim to
its end (``conclude``) is the same for a task that was just claimed, for one whose daemon was killed,
and for one whose recovery was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import assert_never

from task_queue.daemon.context import SourceContext
from task_queue.domain import events
from task_queue.domain.attempt.figures import figures_of
from task_queue.domain.attempt.lifecycle import Policy, decide
from task_queue.domain.attempt.progress import progress_of
from task_queue.domain.attempt.proof import seal_of
from task_queue.domain.attempt.rebuild import rebuilt_ending, work_so_far
from task_queue.domain.attempt.recovery import ClaimFacts, Repair, repair_for
from task_queue.domain.attempt.results import attempts_before, bare_ending, journal_after, result_of
from task_queue.domain.attempt.spending import Meter, meter_of
from task_queue.domain.document import naming
from task_queue.domain.document.choices import CLAUDE, OnLostSession
from task_queue.domain.document.ordering import Waiting, waiting_for
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import (
    ClaimLost,
    EngineUnavailable,
    ExecutorError,
    NotConfiguredError,
    TaskFileError,
)
from task_queue.domain.model import (
    Claim,
    Complete,
    Ending,
    Fail,
    Journal,
    Outcome,
    OutcomeKind,
    Pause,
    Release,
    Retry,
    RunRecord,
    Work,
    WorkProduct,
)
from task_queue.domain.task import Task, TaskState
from task_queue.domain.work.report import report_of
from task_queue.ports.clock import Waiter
from task_queue.ports.executor import Stop, marker_of
from task_queue.ports.runner import RunningAttempt

CANCEL_GRACE_S = 60.0
"""How long a runner may take to end its agent in good order; then it is killed."""
_LOOK_AT_ENDING_S = 0.3
_HELD_STILL_LOOKS = 3
"""In a row: a program that traces system calls holds a runner still for a moment at each."""
_NEVER_BEGAN = "the runner ended before an agent was started"
_BACKSTOP = timedelta(minutes=5)
_MOST_REPAIRS = 10


class Supervision:
    """Brings claims of one source to their end."""

    def __init__(
        self,
        context: SourceContext,
        *,
        wakeup: Waiter,
        stopping: Callable[[], bool],
        at_once: Callable[[], bool],
        meanwhile: Callable[[], None],
    ) -> None:
        """*at_once*: a stop that was asked for kills instead of suspending. *meanwhile* is done at every wake-up
        while an attempt runs: what need not wait for its end."""
        self._source = context.source
        self._queue = context.engine.queue
        self._attempts = context.engine.attempts
        self._requests = context.engine.requests
        self._runners = context.runners
        self._orders = context.orders
        self._admission = context.admission
        self._clock = context.clock
        self._emit = context.emit
        self._timing = context.timing
        self._wakeup = wakeup
        self._stopping = stopping
        self._at_once = at_once
        self._meanwhile = meanwhile

    def start(self, claim: Claim) -> None:
        """Have a fresh *claim* carried out and wait for it. Raises ExecutorError after giving the task back."""
        try:
            task = self._queue.task(claim)
            place = self._attempts.place_of(claim)
            order = self._orders.order_for(claim, task, self._queue.journal(claim), place)
            order = replace(order, token=self._queue.token_of(claim))
            attempt = self._runners.start(order)
        except NotConfiguredError as error:  # usually seen before the claim
            self.commit(claim, Outcome(OutcomeKind.UNAVAILABLE, error.in_full), by="worker")
        except TaskFileError as error:
            self.commit(claim, Outcome(OutcomeKind.REJECTED, error.in_full), by="worker")
        except ExecutorError as error:
            if self._attempts.abandon(claim, now=self._clock.now()).abandoned:
                self.commit(claim, Outcome(OutcomeKind.UNAVAILABLE, str(error)), by="worker")
            self.conclude(claim)
            raise
        else:
            self._wait_for(claim, attempt, limit=order.settings.timeout + _BACKSTOP)

    def conclude(self, claim: Claim, *, runner_ended: bool = False) -> bool:
        """Bring *claim* to its end from the files on disk. Idempotent.

        Returns whether the task has ended with it; it has not where it is given back, or was lost.
        *runner_ended*: its runner was started here and has been seen to end; no record can say otherwise.
        """
        try:
            for _ in range(_MOST_REPAIRS):
                repair = repair_for(self._facts(claim, runner_ended=runner_ended))
                if repair is Repair.SETTLE:
                    break
                self._repair(claim, repair, runner_ended=runner_ended)
            ending, _ = self._ending(claim)
            if ending is None:  # each repair changes the facts, so this would be a defect of the table
                raise RuntimeError(f"{claim.task_id}: attempt {claim.attempt} was brought to no end")
            return self._apply(claim, ending)
        except ClaimLost as error:
            self._emit(events.TaskRecovered(self._source, claim.task_id, f"outcome dropped: {error}"))
            return False

    def suspend(self, claim: Claim) -> None:
        """End what runs of *claim* although nothing else can be done about it now. Raises EngineUnavailable."""
        attempt = self._runners.find(marker_of(self._source, claim))
        if attempt is not None:
            self._wait_for(claim, attempt, limit=None)

    def give_up(self, claim: Claim, outcome: Outcome) -> None:
        """Commit for a runner out of reach: the agent's own end if it had reported one, else *outcome*."""
        if self._requests.cancel_requested(claim):
            outcome = Outcome(OutcomeKind.CANCELLED, "cancelled while it ran", (outcome.reason,))
        self._commit_for_killed(claim, outcome)

    def commit(self, claim: Claim, outcome: Outcome, *, by: str, work: Work | None = None) -> None:
        """Commit an ending that no runner committed; an earlier one stands."""
        self._disown_forged(claim)
        ending = bare_ending(claim, outcome, by=by, now=self._clock.now(), work=work)
        steps = seal_of(self._attempts.steps(claim), self._queue.token_of(claim))
        self._attempts.commit(claim, replace(ending, steps=steps))

    def _facts(self, claim: Claim, *, runner_ended: bool) -> ClaimFacts:
        ending, forged = self._ending(claim)
        run = self._attempts.run_of(claim)
        abandoned = run is not None and run.abandoned
        runner = (
            None
            if run is None or abandoned or runner_ended
            else self._live_runner(claim, run, has_ending=ending is not None)
        )
        if runner is not None:
            runner.close()
        # Where an ending was forged, a result in the transcript may be, too.
        to_rebuild = run is not None and not abandoned and runner is None and ending is None and not forged
        return ClaimFacts(
            ending=ending is not None,
            run=run is not None,
            abandoned=abandoned,
            acted=abandoned and ending is None and self._attempts.may_have_acted(claim),
            runner_alive=runner is not None,
            result_in_transcript=to_rebuild and self._rebuilt(claim) is not None,
        )

    def _live_runner(self, claim: Claim, run: RunRecord, *, has_ending: bool) -> RunningAttempt | None:
        """Raises EngineUnavailable while it lives where it can be neither waited for nor stopped."""
        runner = self._runners.adopt(run)
        # The ending is the last that a runner writes, once nothing of its tree is left.
        if runner is not None or has_ending or not self._attempts.runs_out_of_sight(claim):
            return runner
        runner = self._runners.find(run.marker)  # our namespace sees those below it, under ids of its own
        if runner is None:
            raise EngineUnavailable(
                f"{claim.task_id}: its runner works in another PID namespace (a container) or on another machine,"
                " and can be neither watched nor stopped from here",
                hint="it goes on until it has ended; to stop it, start the daemon there",
            )
        return runner

    def _ending(self, claim: Claim) -> tuple[Ending | None, bool]:
        """What the runner or a worker committed, and whether another process forged what is there."""
        ending = self._attempts.ending_of(claim)
        forged = ending is not None and not self._attempts.is_genuine(claim, ending)
        return None if forged else ending, forged

    def _disown_forged(self, claim: Claim) -> bool:
        """Make room for the true ending; whether there was a forged one."""
        _, forged = self._ending(claim)
        if forged:
            self._attempts.set_ending_aside(claim)
        return forged

    def _repair(self, claim: Claim, repair: Repair, *, runner_ended: bool) -> None:
        match repair:
            case Repair.SETTLE:
                return
            case Repair.ADOPT:
                self._adopt(claim)
                return
            case Repair.ABANDON:
                self._attempts.abandon(claim, now=self._clock.now())
            case Repair.RELEASE:
                self._end_leftovers(claim, runner_ended)  # a runner that was about to show itself
                self.commit(claim, self._never_began(claim, runner_ended), by="recovery")
            case Repair.REBUILD:
                self._end_leftovers(claim, runner_ended)
                ending = self._rebuilt(claim)
                if ending is not None:
                    self._attempts.commit(claim, replace(ending, work=self._compared(claim, ending.work)))
            case Repair.CRASHED:
                ended = self._end_leftovers(claim, runner_ended)
                found = (
                    "outcome.json was not written by the runner; it is kept beside it"
                    if self._disown_forged(claim)
                    else "no ending was committed"
                )
                evidence = (f"{found}; {ended} left-over processes were ended",)
                kind, why = OutcomeKind.CRASHED, "the runner died before the agent had finished"
                if self._requests.cancel_requested(claim):
                    kind, why = OutcomeKind.CANCELLED, "cancelled; its runner had died"
                self._commit_for_dead(claim, Outcome(kind, why, evidence), by="recovery")
            case _:
                assert_never(repair)
        self._emit(events.TaskRecovered(self._source, claim.task_id, repair.value))

    def _never_began(self, claim: Claim, runner_ended: bool) -> Outcome:
        """For an attempt whose runner never showed itself; of two in a row that nothing stopped, the second counts."""
        if not runner_ended or self._stopping():
            return Outcome(OutcomeKind.INTERRUPTED, "stopped before an agent was started")
        earlier = attempts_before(self._queue.journal(claim), claim)
        if earlier and earlier[-1].reason.startswith(_NEVER_BEGAN):
            return Outcome(OutcomeKind.CRASHED, f"{_NEVER_BEGAN}, for the second time in a row")
        return Outcome(OutcomeKind.INTERRUPTED, _NEVER_BEGAN)

    def _adopt(self, claim: Claim) -> None:
        run = self._attempts.run_of(claim)
        runner = self._live_runner(claim, run, has_ending=False) if run is not None else None
        if runner is not None:
            task_id = naming.task_id_of(claim.document)
            as_it_waited = self._as_it_waited(claim)
            self._admission.count_in(self._source, task_id, self.may_spend(claim), task=as_it_waited)
            try:
                self._emit(events.TaskAdopted(self._source, claim.task_id, claim.attempt))
                # The time before that, with an earlier daemon, is not known for sure.
                settings = self._settings(claim)
                self._wait_for(claim, runner, limit=settings.timeout + _BACKSTOP if settings else None)
            finally:
                self._admission.leave(self._source, task_id)

    def _rebuilt(self, claim: Claim) -> Ending | None:
        return rebuilt_ending(
            claim, self._attempts.transcript(claim), before=self._meter(claim), now=self._clock.now()
        )

    def _meter(self, claim: Claim) -> Meter:
        return meter_of(attempts_before(self._queue.journal(claim), claim), claim.session_id)

    def _end_leftovers(self, claim: Claim, started_here: bool) -> int:
        run = None if started_here else self._attempts.run_of(claim)
        marker = run.marker if run is not None and run.marker else marker_of(self._source, claim)
        return self._runners.sweep(marker)

    def _wait_for(self, claim: Claim, attempt: RunningAttempt, *, limit: timedelta | None) -> None:
        """Until the runner has ended. It handles a cancel, our own stop and a runner that never ends."""
        begun = self._clock.monotonic()
        overdue_at = None if limit is None else begun + limit.total_seconds()
        outcome_if_killed: Outcome | None = None
        kill_at: float | None = None
        held_still = 0
        try:
            while not attempt.ended():
                now = self._clock.monotonic()
                if outcome_if_killed is None:
                    if self._requests.cancel_requested(claim):
                        outcome_if_killed = Outcome(OutcomeKind.CANCELLED, "cancelled while it ran")
                        kill_at = now + CANCEL_GRACE_S
                        attempt.stop(Stop.CANCEL)
                    elif self._stopping():
                        outcome_if_killed = Outcome(OutcomeKind.INTERRUPTED, "the queue was stopped")
                        kill_at = now if self._at_once() else now + self._timing().stop_grace_s
                        attempt.stop(Stop.SUSPEND)
                    elif overdue_at is not None and now >= overdue_at:
                        outcome_if_killed = Outcome(OutcomeKind.TIMED_OUT, "the runner outlived its time-out")
                        kill_at = now
                if outcome_if_killed is not None and kill_at is not None:
                    held_still = 0 if attempt.can_answer() else held_still + 1
                    if held_still >= _HELD_STILL_LOOKS:
                        kill_at = now
                if outcome_if_killed is not None and kill_at is not None and now >= kill_at:
                    attempt.kill()
                    self._commit_for_killed(claim, outcome_if_killed)
                    return
                is_probing = self._admission.is_probing(self._source, naming.task_id_of(claim.document))
                if is_probing and progress_of(self._attempts.transcript(claim)).turns:
                    self._admission.account_works()
                next_looks = [at - now for at in (kill_at, overdue_at) if at is not None and at > now]
                if held_still:
                    next_looks.append(_LOOK_AT_ENDING_S)
                self._wakeup.wait(min([self._timing().sweep_s, *next_looks]), attempt.fileno())
                self._meanwhile()
        finally:
            attempt.close()

    def _commit_for_killed(self, claim: Claim, outcome_if_killed: Outcome) -> None:
        """The agent's own end if it had reported one, else *outcome_if_killed*; a command cannot be continued."""
        is_unknown = outcome_if_killed.kind in {OutcomeKind.INTERRUPTED, OutcomeKind.CRASHED}
        finished = self._rebuilt(claim) if is_unknown else None
        if finished is not None:
            self._attempts.commit(claim, replace(finished, work=self._compared(claim, finished.work)))
            return
        lost = outcome_if_killed.lost_session or not self._policy(claim).repeatable
        outcome = replace(outcome_if_killed, lost_session=lost)
        self._commit_for_dead(claim, outcome, by="worker")

    def _commit_for_dead(self, claim: Claim, outcome: Outcome, *, by: str) -> None:
        """Of an attempt whose runner died with its work: what is known of that."""
        work = work_so_far(claim, self._attempts.transcript(claim), before=self._meter(claim))
        self.commit(claim, outcome, by=by, work=self._compared(claim, work))

    def _compared(self, claim: Claim, work: Work) -> Work:
        """With what changed meanwhile in the owner's repository, which the runner would have said itself."""
        task = self._task(claim)
        if task is None:
            return work
        product = work.product or WorkProduct(None)
        compared = self._orders.compared(claim, task, product)
        return work if compared is product else replace(work, product=compared)

    def _apply(self, claim: Claim, ending: Ending) -> bool:
        """Do what ``decide`` says follows from *ending*; whether that is the task's end."""
        journal = self._queue.journal(claim)
        probed = self._admission.was_paused(claim.started_at)
        self._admission.ended(self._source, claim, ending)
        disposition = decide(
            ending.outcome,
            earlier=attempts_before(journal, claim),
            policy=self._policy(claim),
            jitter=self._timing().jitter(),
        )
        outcome = ending.outcome
        if not isinstance(disposition, Complete | Fail) and (why := self._why_unwanted(claim)) is not None:
            last = f"its last attempt: {outcome.kind}, {outcome.reason}"
            disposition, outcome = Fail(), Outcome(OutcomeKind.CANCELLED, why, (last,))
        match disposition:
            case Complete():
                self._settle(claim, ending, journal, TaskState.COMPLETED, outcome)
            case Fail(dead_letter=dead_letter):
                self._settle(claim, ending, journal, TaskState.FAILED, outcome, dead_letter=dead_letter)
            case Retry() | Release():
                self._release(claim, ending, journal, disposition)
            case Pause():
                if outcome.kind is OutcomeKind.LIMITED:
                    limited = (self._source, claim.task_id, claim.attempt, outcome.reason, outcome.resets_at)
                    self._emit(events.TaskLimited(*limited))
                self._emit(self._paused(claim, disposition))
                self._release(claim, ending, journal, disposition, probed=probed)
            case _:
                assert_never(disposition)
        return isinstance(disposition, Complete | Fail)

    def _paused(self, claim: Claim, pause: Pause) -> events.AccountPaused:
        """Let the account, or the part of it that is meant, rest."""
        if pause.model is None:
            until = self._admission.pause(pause)
            return events.AccountPaused(self._source, pause.why, until)
        task = self._task(claim)
        asked = None if task is None else self._orders.settings_of(task).model
        until = self._admission.pause_model(self._source, pause.model, pause, asked=asked)
        why = f"{pause.why} (only for {pause.model})"
        return events.AccountPaused(self._source, why, until, pause.model)

    def _why_unwanted(self, claim: Claim) -> str | None:
        """A task that a person cancelled, or whose document was deleted, is not tried again."""
        if self._requests.cancel_requested(claim):
            return "cancelled"
        return "its document was deleted while it ran" if self._requests.document_is_gone(claim) else None

    def _settle(
        self,
        claim: Claim,
        ending: Ending,
        journal: Journal,
        state: TaskState,
        outcome: Outcome,
        *,
        dead_letter: bool = False,
    ) -> None:
        task = self._task(claim)
        result = result_of(
            claim,
            ending,
            journal,
            state=state,
            source=self._source,
            workspace=self._orders.workspace_of(task) if task else None,
            outcome=outcome,
            dead_letter=dead_letter,
            settings=self._settings(claim),
            arrived_at=self._queue.arrived_at(claim),
        )
        title, asked = (task.title, task.body) if task else (claim.task_id, "")
        report = report_of(result, title=title, asked=asked)
        self._emit_edit(claim, self._queue.settle(claim, result, report))
        self._emit(
            events.TaskSettled(
                self._source,
                claim.task_id,
                claim.attempt,
                state,
                outcome.kind,
                outcome.reason,
                took=timedelta(milliseconds=result.duration_ms),
                turns=result.num_turns,
                cost_usd=result.total_cost_usd,
                dead_letter=dead_letter,
                attention=tuple(need.kind.value for need in result.attention),
                figures=figures_of(result),
            )
        )

    def _task(self, claim: Claim) -> Task | None:
        """None of a document that is not a valid task: it never ran."""
        try:
            return self._queue.task(claim)
        except TaskFileError:
            return None

    def _release(
        self,
        claim: Claim,
        ending: Ending,
        journal: Journal,
        disposition: Retry | Release | Pause,
        *,
        probed: bool = False,
    ) -> None:
        after = journal_after(claim, ending, journal, disposition, probed=probed)
        self._emit_edit(claim, self._queue.release(claim, after))
        self._emit(
            events.TaskReleased(
                self._source,
                claim.task_id,
                claim.attempt,
                ending.outcome.kind,
                ending.outcome.reason,
                counted=after.attempts[-1].counted,
                delay=disposition.delay if isinstance(disposition, Retry) else timedelta(0),
            )
        )

    def _emit_edit(self, claim: Claim, kept_as: str | None) -> None:
        if kept_as is not None:
            self._emit(events.TaskEdited(self._source, claim.task_id, claim.attempt, kept_as))

    def may_spend(self, claim: Claim) -> float | None:
        """What of the task's own budget an attempt was started with; None: no bound."""
        settings = self._settings(claim)
        if settings is not None and not settings.uses_agent:
            return 0.0
        if settings is None or settings.max_budget_usd is None:
            return None
        earlier = attempts_before(self._queue.journal(claim), claim)
        return max(0.0, settings.max_budget_usd - sum(attempt.total_cost_usd or 0 for attempt in earlier))

    def _settings(self, claim: Claim) -> Settings | None:
        """None of a document that is not a valid task: it never ran."""
        try:
            return self._orders.settings_of(self._queue.task(claim))
        except TaskFileError:
            return None

    def _as_it_waited(self, claim: Claim) -> Waiting | None:
        settings = self._settings(claim)
        if settings is None:
            return None
        return waiting_for(self._queue.task(claim), settings, dropped_at=claim.started_at)

    def _policy(self, claim: Claim) -> Policy:
        settings = self._settings(claim)
        if settings is None:
            return Policy()
        return Policy(
            max_attempts=settings.max_attempts,
            retry_delay=settings.retry_delay,
            rerun_lost_session=settings.on_lost_session is OnLostSession.RERUN,
            repeatable=settings.executor == CLAUDE,
        )
