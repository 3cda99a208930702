"""One attempt's process: shows itself, carries the attempt out, ends its tree, commits the ending.

Lives in a session of its own and outlives the daemon; the next daemon finds it by ``run.json``. It
never acts without having published that file first, and never acts when recovery was faster.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import assert_never

from task_queue.domain.attempt.proof import is_vouched_for, seal_of
from task_queue.domain.attempt.rebuild import VOUCHED, work_so_far
from task_queue.domain.errors import ExecutorError
from task_queue.domain.model import Delivery, Ending, Outcome, OutcomeKind, RunRecord, Work
from task_queue.platform import durable, identity
from task_queue.platform.memory import MemoryGuard
from task_queue.platform.records import UnreadableRecordError, decode, encode
from task_queue.ports.executor import Executor, ExecutorKind, Order, Stop
from task_queue.runner.steps import FILE, lines_of
from task_queue.store.transcript import FileTranscript, redacted, secrets_in

_PR_SET_CHILD_SUBREAPER = 36
_END_TREE_GRACE_S = 5.0
_ENDING_LIMIT = 64 * 2**20
_COMMIT_AGAIN_AFTER_S = 0.5


def carry_out(order: Order) -> None:
    """Run the attempt that *order* describes, in this process; returns when its ending is committed."""
    started_at = datetime.now(UTC)
    try:
        if not _show_myself(order, started_at) or not _lock_is_ours(order):
            return
        transcript = FileTranscript(
            order.attempt_dir / "transcript.jsonl",
            limit_mb=order.transcript_mb,
            secrets=secrets_in(order.env),
        )
    except OSError as error:  # nothing was started, so nothing is lost by trying again later
        outcome = Outcome(OutcomeKind.UNAVAILABLE, f"the attempt's folder cannot be written: {error}")
        _commit(order, outcome, Work(), started_at)
        return
    _become_subreaper()
    executor = executor_of(order)
    asked: list[Stop] = []

    def ask(number: int, _: FrameType | None) -> None:
        how = Stop.CANCEL if number == signal.SIGINT else Stop.SUSPEND
        asked.append(how)
        executor.stop(how)

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        with MemoryGuard(order.memory_mb) as memory:
            outcome, work = stopped_before(asked[0]) if asked else executor.execute(order, transcript)
        if memory.exceeded is not None and not asked and outcome.kind is not OutcomeKind.SUCCEEDED:
            reason = "the process tree held more memory than limits.memory_mb"
            outcome = Outcome(OutcomeKind.CRASHED, reason, (memory.exceeded, *outcome.evidence))
    except ExecutorError as error:
        hint = f"; {error.hint}" if error.hint else ""
        outcome, work = Outcome(OutcomeKind.UNAVAILABLE, f"{error}{hint}"), _work_so_far(order)
    except Exception as error:  # noqa: BLE001 - a defect of ours must end as an outcome, not as silence
        transcript.write("note", traceback.format_exc())
        outcome = Outcome(OutcomeKind.CRASHED, f"defect in the runner: {error!r}", (traceback.format_exc(),))
        work = _work_so_far(order)
    if outcome.kind is OutcomeKind.SUCCEEDED and order.executor is ExecutorKind.COMMAND:
        transcript.write("note", {"type": VOUCHED, "token": order.token})
    left = identity.end_tree(order.marker, root=os.getpid(), grace_s=_END_TREE_GRACE_S)
    if left:
        transcript.write("note", f"ended {left} processes that the agent had left running")
    with contextlib.suppress(OSError):  # the transcript is evidence, the ending is the truth
        transcript.close()
    _commit(order, outcome, work, started_at)


def executor_of(order: Order) -> Executor:
    """The adapter that *order* names; imported here, because only a runner pays for it."""
    match order.executor:
        case ExecutorKind.COMMAND:
            from task_queue.runner.command import CheckedCommand

            return CheckedCommand()
        case ExecutorKind.CLAUDE:
            from task_queue.runner.phases import WorkflowExecutor

            return WorkflowExecutor()
        case _:
            assert_never(order.executor)


def stopped_before(how: Stop) -> tuple[Outcome, Work]:
    """The ending of an attempt that was stopped before its agent was started."""
    if how is Stop.CANCEL:
        return Outcome(OutcomeKind.CANCELLED, "cancelled before the agent started"), Work()
    return Outcome(OutcomeKind.INTERRUPTED, "the queue was stopped before the agent started"), Work()


def _work_so_far(order: Order) -> Work:
    """Of an executor that could not come to its end, from what it had written."""
    path = order.attempt_dir / "transcript.jsonl"
    with contextlib.suppress(OSError), durable.open_regular(path) as file:
        lines = io.TextIOWrapper(file, encoding="utf-8", errors="replace")
        return work_so_far(order.claim, lines, before=order.meter)
    return Work(session_id=order.claim.session_id)


def _is_committed(order: Order, path: Path) -> bool:
    try:
        data, _ = durable.read_regular(path, limit=_ENDING_LIMIT)
        return is_vouched_for(order.claim, decode(Ending, data))
    except (OSError, UnreadableRecordError):
        return False


def _show_myself(order: Order, started_at: datetime) -> bool:
    me = identity.own_identity()
    record = RunRecord(
        task_id=order.claim.task_id,
        attempt=order.claim.attempt,
        marker=order.marker,
        pid=me.pid,
        pid_start_ticks=me.pid_start_ticks,
        boot_id=me.boot_id,
        started_at=started_at,
        claim=order.claim,
    )
    try:
        durable.publish(order.attempt_dir / "run.json", encode(record))
    except FileExistsError:
        return False  # recovery gave this attempt up before we showed ourselves
    return True


def _lock_is_ours(order: Order) -> bool:
    """Whether the claim still stands; checked after the run record lies, so that one of two sees the other."""
    try:
        return durable.read_regular(order.lock, limit=_ENDING_LIMIT)[0] == encode(order.claim)
    except FileNotFoundError:
        return False


def _commit(order: Order, outcome: Outcome, work: Work, started_at: datetime) -> None:
    """Publish the ending, however long the disk is full or broken: only this process knows it."""
    secrets = secrets_in(order.env)
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
            delivery=_without_secrets(work.delivery, secrets),
        ),
        started_at=started_at,
        ended_at=datetime.now(UTC),
        committed_by="runner",
        notes=order.notes,
        token=order.token,
        steps=seal_of(lines_of(order.attempt_dir / FILE), order.token),
    )
    while True:
        try:
            if not order.lock.parent.parent.exists():
                return  # without the queue's folder there is nobody left to tell
            durable.make_directory(order.attempt_dir)  # somebody may have deleted it while the agent worked
            _publish_ending(order, ending)
        except OSError:
            time.sleep(_COMMIT_AGAIN_AFTER_S)
        else:
            return


def _without_secrets(delivery: Delivery | None, secrets: tuple[str, ...]) -> Delivery | None:
    if delivery is None:
        return None
    return replace(
        delivery,
        verification=redacted(delivery.verification, secrets),
        audit=redacted(delivery.audit, secrets),
        subjects=redacted(delivery.subjects, secrets),
        notes=redacted(delivery.notes, secrets),
    )


def _publish_ending(order: Order, ending: Ending) -> None:
    """Publish *ending* unless the worker was first. What somebody else put in its place is kept beside it."""
    path = order.attempt_dir / "outcome.json"
    try:
        durable.publish(path, encode(ending))
    except FileExistsError:
        if _is_committed(order, path):
            return  # a cancel or a time-out, or an earlier try of ours; that stands
        with contextlib.suppress(FileNotFoundError):
            aside = durable.move_aside(path, path.with_name("outcome-forged.json"))
            found = f"an ending lay there that its runner did not write; it is kept as {aside.name}"
            outcome = replace(ending.outcome, evidence=(*ending.outcome.evidence, found))
            ending = replace(ending, outcome=outcome)
        with contextlib.suppress(FileExistsError):
            durable.publish(path, encode(ending))


def _become_subreaper() -> None:
    """Orphans below us become our children, so that nothing of the attempt escapes (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
