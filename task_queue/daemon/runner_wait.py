"""Waits for the runner of an attempt, and ends it where it has to end: cancelled, stopped, or out of its time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from task_queue.daemon.context import SourceContext
from task_queue.daemon.endings import Endings
from task_queue.domain.attempt.progress import progress_of
from task_queue.domain.document import naming
from task_queue.domain.model import Claim, Outcome, OutcomeKind
from task_queue.ports.clock import Waiter
from task_queue.ports.executor import Stop
from task_queue.ports.runner import RunningAttempt

CANCEL_GRACE_S = 60.0
"""How long a runner may take to end its agent in good order; then it is killed."""
BACKSTOP = timedelta(minutes=5)
"""For a runner, beyond the time-out of its task."""
_LOOK_AT_ENDING_S = 0.3
_HELD_STILL_LOOKS = 3
"""In a row: a program that traces system calls holds a runner still for a moment at each."""


class RunnerWait:
    """For the runners of one source."""

    def __init__(
        self,
        context: SourceContext,
        *,
        wakeup: Waiter,
        stopping: Callable[[], bool],
        at_once: Callable[[], bool],
        meanwhile: Callable[[], None],
    ) -> None:
        """As ``Supervision``."""
        self._source = context.source
        self._attempts = context.engine.attempts
        self._requests = context.engine.requests
        self._admission = context.admission
        self._clock = context.clock
        self._timing = context.timing
        self._endings = Endings(context)
        self._wakeup = wakeup
        self._stopping = stopping
        self._at_once = at_once
        self._meanwhile = meanwhile

    def wait_for(self, claim: Claim, attempt: RunningAttempt, *, limit: timedelta | None) -> None:
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
                    self._endings.commit_for_killed(claim, outcome_if_killed)
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
