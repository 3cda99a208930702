"""The endings of attempts: the genuine one, and those that are committed for a runner that cannot do it itself."""

from __future__ import annotations

from dataclasses import replace

from task_queue.daemon.claimed_tasks import ClaimedTasks
from task_queue.daemon.context import SourceContext
from task_queue.domain.attempt.proof import seal_of
from task_queue.domain.attempt.rebuild import rebuilt_ending, work_so_far
from task_queue.domain.attempt.results import attempts_before, bare_ending
from task_queue.domain.attempt.spending import Meter, meter_of
from task_queue.domain.model import Claim, Ending, Outcome, OutcomeKind, Work, WorkProduct


class Endings:
    """Of the attempts of one source."""

    def __init__(self, context: SourceContext) -> None:
        self._queue = context.engine.queue
        self._attempts = context.engine.attempts
        self._orders = context.orders
        self._clock = context.clock
        self._tasks = ClaimedTasks(context)

    def of(self, claim: Claim) -> tuple[Ending | None, bool]:
        """What the runner or a worker committed, and whether another process forged what is there."""
        ending = self._attempts.ending_of(claim)
        forged = ending is not None and not self._attempts.is_genuine(claim, ending)
        return None if forged else ending, forged

    def disown_forged(self, claim: Claim) -> bool:
        """Make room for the true ending; whether there was a forged one."""
        _, forged = self.of(claim)
        if forged:
            self._attempts.set_ending_aside(claim)
        return forged

    def commit(self, claim: Claim, outcome: Outcome, *, by: str, work: Work | None = None) -> None:
        """Commit an ending that no runner committed; an earlier one stands."""
        self.disown_forged(claim)
        ending = bare_ending(claim, outcome, by=by, now=self._clock.now(), work=work)
        steps = seal_of(self._attempts.steps(claim), self._queue.token_of(claim))
        self._attempts.commit(claim, replace(ending, steps=steps))

    def rebuilt(self, claim: Claim) -> Ending | None:
        """What the agent itself reported as its end, by the transcript."""
        return rebuilt_ending(
            claim, self._attempts.transcript(claim), before=self._meter(claim), now=self._clock.now()
        )

    def commit_rebuilt(self, claim: Claim) -> bool:
        """Commit what ``rebuilt`` gives; whether it gives any."""
        ending = self.rebuilt(claim)
        if ending is None:
            return False
        self._attempts.commit(claim, replace(ending, work=self._compared(claim, ending.work)))
        return True

    def commit_for_killed(self, claim: Claim, outcome_if_killed: Outcome) -> None:
        """The agent's own end if it had reported one, else *outcome_if_killed*; a command cannot be continued."""
        is_unknown = outcome_if_killed.kind in {OutcomeKind.INTERRUPTED, OutcomeKind.CRASHED}
        if is_unknown and self.commit_rebuilt(claim):
            return
        lost = outcome_if_killed.lost_session or not self._tasks.policy_of(claim).repeatable
        outcome = replace(outcome_if_killed, lost_session=lost)
        self.commit_for_dead(claim, outcome, by="worker")

    def commit_for_dead(self, claim: Claim, outcome: Outcome, *, by: str) -> None:
        """Of an attempt whose runner died with its work: what is known of that."""
        work = work_so_far(claim, self._attempts.transcript(claim), before=self._meter(claim))
        self.commit(claim, outcome, by=by, work=self._compared(claim, work))

    def _compared(self, claim: Claim, work: Work) -> Work:
        """With what changed meanwhile in the owner's repository, which the runner would have said itself."""
        task = self._tasks.task_of(claim)
        if task is None:
            return work
        product = work.product or WorkProduct(None)
        compared = self._orders.compared(claim, task, product)
        return work if compared is product else replace(work, product=compared)

    def _meter(self, claim: Claim) -> Meter:
        return meter_of(attempts_before(self._queue.journal(claim), claim), claim.session_id)
