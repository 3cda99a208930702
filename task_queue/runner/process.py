"""One attempt's process: shows itself, carries the attempt out, ends its tree, commits the ending.

Lives in a session of its own and outlives the daemon; the next daemon finds it by ``run.json``. It
never acts without having published that file first, and never acts when recovery was faster.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from types import FrameType

from task_queue.domain.attempt.proof import is_signed_by_runner, seal_of
from task_queue.domain.attempt.rebuild import VOUCHED, work_so_far
from task_queue.domain.errors import ClaimLost, ExecutorError
from task_queue.domain.model import AttemptLimits, Ending, Outcome, OutcomeKind, RunRecord, Work, WorkProduct
from task_queue.domain.secrets import redacted
from task_queue.platform import identity, temporary
from task_queue.platform.memory import MemoryGuard
from task_queue.platform.owners import this_process
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.emit import Emit
from task_queue.ports.executor import Executor, ExecutorKind, Order, Stop
from task_queue.runner.announcing import AnnouncingTranscript
from task_queue.runner.attaching import with_artifacts
from task_queue.runner.fence import LeaseFence
from task_queue.runner.steps import forget_witness

TEMPORARY_FILES = "CLAUDE_CODE_TMPDIR"
"""In it the agent's CLI keeps what it otherwise keeps in ``/tmp/claude-<uid>``, which another user could make first."""
_END_TREE_GRACE_S = 5.0
_COMMIT_AGAIN_AFTER_S = 0.5
_LONGEST_PAUSE_S = 10.0
"""Between two tries to commit, however long the disk has refused it."""


def carry_out(order: Order, log: AttemptWriter, emit: Emit = lambda _: None) -> None:
    """Run the attempt that *order* describes, in this process; returns when its ending is committed to *log*."""
    started_at = datetime.now(UTC)
    try:
        # Asked once the run record is there, so that one of two sees the other.
        if not log.show(_own_record(order, started_at)) or not log.claim_stands():
            return
        transcript = log.transcript(limit_mb=order.transcript_mb, secrets=order.secrets)
        own = temporary.make(order.temporary)
        order = with_artifacts(order, own)
    except OSError as error:  # nothing was started, so nothing is lost by trying again later
        outcome = Outcome(OutcomeKind.UNAVAILABLE, f"the attempt's folders cannot be written: {error}")
        _commit(log, order, outcome, Work(), started_at)
        return
    order = replace(order, env={**order.env, TEMPORARY_FILES: str(own)})
    announcing = AnnouncingTranscript(transcript, order, emit)
    identity.become_subreaper()
    executor = executor_of(order, log)
    asked: list[Stop] = []

    def ask(number: int, _: FrameType | None) -> None:
        how = Stop.CANCEL if number == signal.SIGINT else Stop.SUSPEND
        asked.append(how)
        executor.stop(how)

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        with MemoryGuard(order.memory_mb) as memory, LeaseFence(order.lease, order.marker) as fence:
            if asked or fence.is_over:  # it may have been frozen until now
                outcome, work = stopped_before(asked[0] if asked else Stop.SUSPEND)
            else:
                outcome, work = executor.execute(order, announcing)
        if memory.exceeded is not None and not asked and outcome.kind is not OutcomeKind.SUCCEEDED:
            reason = "the process tree held more memory than limits.memory_mb"
            outcome = Outcome(OutcomeKind.CRASHED, reason, (memory.exceeded, *outcome.evidence))
    except ExecutorError as error:
        outcome, work = Outcome(OutcomeKind.UNAVAILABLE, error.in_full), _work_so_far(log, order)
    except Exception as error:  # noqa: BLE001 - a defect in the queue must end as an outcome, not as silence
        transcript.write("note", traceback.format_exc())
        outcome = Outcome(OutcomeKind.CRASHED, f"defect in the runner: {error!r}", (traceback.format_exc(),))
        work = _work_so_far(log, order)
    announcing.end()
    if outcome.kind is OutcomeKind.SUCCEEDED and order.executor is ExecutorKind.COMMAND:
        transcript.write("note", {"type": VOUCHED, "token": order.token})
    left = identity.end_tree(order.marker, root=os.getpid(), grace_s=_END_TREE_GRACE_S)
    if left:
        transcript.write("note", f"ended {left} processes that the agent had left running")
    with contextlib.suppress(OSError):  # else the daemon's housekeeping removes it
        temporary.remove_tree(own)
    with contextlib.suppress(OSError):  # the transcript is evidence, the ending is the truth
        transcript.close()
    _commit(log, order, outcome, work, started_at)


def executor_of(order: Order, log: AttemptWriter) -> Executor:
    """The adapter that *order* names; imported here, because only a runner pays for it."""
    if order.uses_agent:
        from task_queue.runner.phases import WorkflowExecutor

        return WorkflowExecutor(log)
    from task_queue.runner.command import CheckedCommand

    return CheckedCommand(log)


def stopped_before(how: Stop) -> tuple[Outcome, Work]:
    """The ending of an attempt that was stopped before its agent was started."""
    if how is Stop.CANCEL:
        return Outcome(OutcomeKind.CANCELLED, "cancelled before the agent started"), Work()
    return Outcome(OutcomeKind.INTERRUPTED, "the queue was stopped before the agent started"), Work()


def _work_so_far(log: AttemptWriter, order: Order) -> Work:
    """Of an executor that could not come to its end, from what it had written."""
    with contextlib.suppress(OSError):
        return work_so_far(order.claim, log.transcript_lines(), before=order.meter)
    return Work(session_id=order.claim.session_id)


def _own_record(order: Order, started_at: datetime) -> RunRecord:
    return RunRecord(
        task_id=order.claim.task_id,
        attempt=order.claim.attempt,
        marker=order.marker,
        runner=this_process(),
        started_at=started_at,
        claim=order.claim,
        bounds=_bounds_of(order),
    )


def _bounds_of(order: Order) -> AttemptLimits:
    settings = order.settings
    timeout_s = settings.timeout.total_seconds()
    if not order.uses_agent:  # it has neither turns nor a price
        return AttemptLimits(timeout_s)
    return AttemptLimits(
        timeout_s, settings.max_turns, order.turns_used, settings.max_budget_usd, order.spent_usd
    )


def _commit(log: AttemptWriter, order: Order, outcome: Outcome, work: Work, started_at: datetime) -> None:
    """Publish the ending, however long the disk is full or broken: only this process knows it."""
    secrets = order.secrets
    ending = Ending(
        task_id=order.claim.task_id,
        attempt=order.claim.attempt,
        outcome=replace(
            outcome,
            reason=redacted(outcome.reason, secrets),
            evidence=redacted(outcome.evidence, secrets),
        ),
        work=replace(
            work,
            output=redacted(work.output, secrets),
            permission_denials=redacted(work.permission_denials, secrets),
            product=_without_secrets(work.product, secrets),
        ),
        started_at=started_at,
        ended_at=datetime.now(UTC),
        committed_by="runner",
        notes=order.notes,
        token=order.token,
        steps=seal_of(log.steps(order.claim.attempt), order.token),
    )
    pause_s = _COMMIT_AGAIN_AFTER_S
    while True:
        try:
            _publish(log, order, ending)
        except ClaimLost:
            return  # without the source there is none left to read it
        except OSError as error:
            with contextlib.suppress(OSError):  # the log may be on the same disk
                print(f"the ending is not written yet: {error}", file=sys.stderr, flush=True)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        else:
            forget_witness(order)
            return


def _without_secrets(product: WorkProduct | None, secrets: tuple[str, ...]) -> WorkProduct | None:
    if product is None:
        return None
    return replace(
        product,
        verification=redacted(product.verification, secrets),
        audit=redacted(product.audit, secrets),
        subjects=redacted(product.subjects, secrets),
        notes=redacted(product.notes, secrets),
    )


def _publish(log: AttemptWriter, order: Order, ending: Ending) -> None:
    """Publish *ending* unless the worker was first. What an agent put in its place is kept beside it."""
    if log.commit(ending):
        return
    standing = log.ending()
    if standing is not None and is_signed_by_runner(order.claim, standing):
        return  # a cancel or a time-out, or an earlier try of this function
    aside = log.set_ending_aside()
    if aside is not None:
        found = f"outcome.json was not written by the runner; it is kept as {aside}"
        outcome = replace(ending.outcome, evidence=(*ending.outcome.evidence, found))
        ending = replace(ending, outcome=outcome)
    log.commit(ending)
