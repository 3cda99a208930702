"""What has to be repaired of a claim before it can be settled: what its runner, or a killed daemon, left undone.

What is on disk decides, never what this object remembers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from task_queue.daemon.claimed_tasks import ClaimedTasks
from task_queue.daemon.context import SourceContext
from task_queue.daemon.endings import Endings
from task_queue.daemon.runner_wait import BACKSTOP, RunnerWait
from task_queue.domain import events
from task_queue.domain.attempt.recovery import ClaimFacts, Repair, repair_for
from task_queue.domain.attempt.results import attempts_before
from task_queue.domain.document import naming
from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.model import Claim, Outcome, OutcomeKind, RunRecord
from task_queue.ports.executor import marker_of
from task_queue.ports.runner import RunningAttempt

_NEVER_BEGAN = "the runner ended before an agent was started"


class Repairs:
    """Of the claims of one source."""

    def __init__(self, context: SourceContext, waiting: RunnerWait, *, stopping: Callable[[], bool]) -> None:
        self._source = context.source
        self._queue = context.engine.queue
        self._attempts = context.engine.attempts
        self._requests = context.engine.requests
        self._runners = context.runners
        self._admission = context.admission
        self._clock = context.clock
        self._emit = context.emit
        self._tasks = ClaimedTasks(context)
        self._endings = Endings(context)
        self._waiting = waiting
        self._stopping = stopping

    def first(self, claim: Claim, *, runner_ended: bool) -> Repair:
        """What is to be done next for *claim*, by what is on disk; *runner_ended* as in ``Supervision.conclude``."""
        return repair_for(self._facts(claim, runner_ended=runner_ended))

    def carry_out(self, claim: Claim, repair: Repair, *, runner_ended: bool) -> None:
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
                self._endings.commit(claim, self._never_began(claim, runner_ended), by="recovery")
            case Repair.REBUILD:
                self._end_leftovers(claim, runner_ended)
                self._endings.commit_rebuilt(claim)
            case Repair.CRASHED:
                ended = self._end_leftovers(claim, runner_ended)
                found = (
                    "outcome.json was not written by the runner; it is kept beside it"
                    if self._endings.disown_forged(claim)
                    else "no ending was committed"
                )
                evidence = (f"{found}; {ended} left-over processes were ended",)
                kind, why = OutcomeKind.CRASHED, "the runner died before the agent had finished"
                if self._requests.cancel_requested(claim):
                    kind, why = OutcomeKind.CANCELLED, "cancelled; its runner had died"
                self._endings.commit_for_dead(claim, Outcome(kind, why, evidence), by="recovery")
            case _:
                assert_never(repair)
        self._emit(events.TaskRecovered(self._source, claim.task_id, repair.value))

    def _facts(self, claim: Claim, *, runner_ended: bool) -> ClaimFacts:
        ending, forged = self._endings.of(claim)
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
            result_in_transcript=to_rebuild and self._endings.rebuilt(claim) is not None,
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
            as_it_waited = self._tasks.as_it_waited(claim)
            self._admission.count_in(self._source, task_id, self._tasks.may_spend(claim), task=as_it_waited)
            try:
                self._emit(events.TaskAdopted(self._source, claim.task_id, claim.attempt))
                # The time before that, with an earlier daemon, is not known for sure.
                settings = self._tasks.settings_of(claim)
                self._waiting.wait_for(claim, runner, limit=settings.timeout + BACKSTOP if settings else None)
            finally:
                self._admission.leave(self._source, task_id)

    def _end_leftovers(self, claim: Claim, started_here: bool) -> int:
        run = None if started_here else self._attempts.run_of(claim)
        marker = run.marker if run is not None and run.marker else marker_of(self._source, claim)
        return self._runners.sweep(marker)
