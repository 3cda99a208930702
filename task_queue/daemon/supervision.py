"""One claimed task in the hands of its worker: start, wait, repair, conclude.

What is on disk decides what happens next, never what this object remembers: the way from a claim to
its end (``conclude``) is the same for a task that was just claimed, for one whose daemon was killed,
and for one whose recovery was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from task_queue.daemon.consequences import Consequences
from task_queue.daemon.context import SourceContext
from task_queue.daemon.endings import Endings
from task_queue.daemon.repairs import Repairs
from task_queue.daemon.runner_wait import BACKSTOP, RunnerWait
from task_queue.domain import events
from task_queue.domain.attempt.recovery import Repair
from task_queue.domain.errors import ClaimLost, ExecutorError, NotConfiguredError, TaskFileError
from task_queue.domain.model import Claim, Outcome, OutcomeKind
from task_queue.ports.clock import Waiter
from task_queue.ports.executor import marker_of

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
        self._clock = context.clock
        self._emit = context.emit
        self._endings = Endings(context)
        self._waiting = RunnerWait(
            context, wakeup=wakeup, stopping=stopping, at_once=at_once, meanwhile=meanwhile
        )
        self._repairs = Repairs(context, self._waiting, stopping=stopping)
        self._consequences = Consequences(context)

    def start(self, claim: Claim) -> None:
        """Have a fresh *claim* carried out and wait for it. Raises ExecutorError after giving the task back."""
        try:
            task = self._queue.task(claim)
            place = self._attempts.place_of(claim)
            order = self._orders.order_for(claim, task, self._queue.journal(claim), place)
            order = replace(order, token=self._queue.token_of(claim))
            attempt = self._runners.start(order)
        except NotConfiguredError as error:  # usually seen before the claim
            self.commit(claim, Outcome(OutcomeKind.UNAVAILABLE, error.in_full))
        except TaskFileError as error:
            self.commit(claim, Outcome(OutcomeKind.REJECTED, error.in_full))
        except ExecutorError as error:
            if self._attempts.abandon(claim, now=self._clock.now()).abandoned:
                self.commit(claim, Outcome(OutcomeKind.UNAVAILABLE, str(error)))
            self.conclude(claim)
            raise
        else:
            self._waiting.wait_for(claim, attempt, limit=order.settings.timeout + BACKSTOP)

    def conclude(self, claim: Claim, *, runner_ended: bool = False) -> bool:
        """Bring *claim* to its end from the files on disk. Idempotent.

        Returns whether the task has ended with it; it has not where it is given back, or was lost.
        *runner_ended*: its runner was started here and has been seen to end; no record can say otherwise.
        """
        try:
            for _ in range(_MOST_REPAIRS):
                repair = self._repairs.first(claim, runner_ended=runner_ended)
                if repair is Repair.SETTLE:
                    break
                self._repairs.carry_out(claim, repair, runner_ended=runner_ended)
            ending, _ = self._endings.of(claim)
            if ending is None:  # each repair changes the facts, so this would be a defect of the table
                raise RuntimeError(f"{claim.task_id}: attempt {claim.attempt} was brought to no end")
            return self._consequences.apply(claim, ending)
        except ClaimLost as error:
            self._emit(events.TaskRecovered(self._source, claim.task_id, f"outcome dropped: {error}"))
            return False

    def suspend(self, claim: Claim) -> None:
        """End what runs of *claim* although nothing else can be done about it now. Raises EngineUnavailable."""
        attempt = self._runners.find(marker_of(self._source, claim))
        if attempt is not None:
            self._waiting.wait_for(claim, attempt, limit=None)

    def give_up(self, claim: Claim, outcome: Outcome) -> None:
        """Commit for a runner out of reach: the agent's own end if it had reported one, else *outcome*."""
        if self._requests.cancel_requested(claim):
            outcome = Outcome(OutcomeKind.CANCELLED, "cancelled while it ran", (outcome.reason,))
        self._endings.commit_for_killed(claim, outcome)

    def commit(self, claim: Claim, outcome: Outcome) -> None:
        """Commit an ending that no runner committed; an earlier one stands."""
        self._endings.commit(claim, outcome, by="worker")
