"""What follows from an outcome. ``decide`` alone chooses among the moves out of RUNNING.

The table, for users in ``docs/outcomes.md``:
complete   succeeded
fail       denied, audit_rejected, verify_failed, budget, max_turns, refused, cancelled, rejected
retry      failed, timed_out, stalled, crashed (counted); unavailable (not counted)
release    interrupted
pause      limited, account; unavailable where no endpoint can be reached
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from task_queue.domain.attempt.retry import delay_after
from task_queue.domain.model import (
    Attempt,
    Complete,
    Disposition,
    Fail,
    Journal,
    Outcome,
    OutcomeKind,
    Pause,
    Release,
    Retry,
)

MAX_RESUMES = 3
"""How often a session whose agent or runner died is continued before a person has to look."""

MAX_RETURNS = 8
"""How often in a row a task may come back uncounted for a cause of its own, without an answer of the model."""

_CONTINUED = frozenset(
    {
        OutcomeKind.CRASHED,
        OutcomeKind.INTERRUPTED,
        OutcomeKind.LIMITED,
        OutcomeKind.UNAVAILABLE,
        OutcomeKind.ACCOUNT,
        OutcomeKind.BUDGET,
        OutcomeKind.STALLED,
        OutcomeKind.TIMED_OUT,
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What of a task's settings bears on the decision."""

    max_attempts: int = 3
    retry_delay: timedelta = timedelta(seconds=30)
    rerun_lost_session: bool = False
    repeatable: bool = True
    """Whether a crash may be tried again at all: a command's side effects cannot be continued."""


def decide(outcome: Outcome, *, earlier: Iterable[Attempt], policy: Policy, jitter: float) -> Disposition:  # noqa: PLR0912 - a row per outcome
    """What follows from *outcome*, given the attempts before it; *jitter* is in [0, 1)."""
    earlier = tuple(earlier)
    counted = 1 + sum(attempt.counted for attempt in earlier)
    match outcome.kind:
        case OutcomeKind.SUCCEEDED:
            return Complete()
        case OutcomeKind.INTERRUPTED if outcome.lost_session and not policy.rerun_lost_session:
            return Fail()  # a stopped command cannot be continued, and is not silently run again
        case OutcomeKind.INTERRUPTED:
            return Release()  # a restart of the daemon never costs the task an attempt
        case OutcomeKind.BUDGET if outcome.resets_at is not None:
            return Release(outcome.resets_at)  # the day's budget is spent, not the task's own
        case OutcomeKind.LIMITED | OutcomeKind.ACCOUNT:
            is_class = outcome.kind is OutcomeKind.LIMITED and outcome.model is not None
            return Pause(
                outcome.reason,
                outcome.resets_at,
                model=outcome.model,
                is_class=is_class,
                needs_person=outcome.kind is OutcomeKind.ACCOUNT,
            )
        case OutcomeKind.UNAVAILABLE if outcome.unreachable:
            return Pause(outcome.reason, briefly=True)
        case OutcomeKind.UNAVAILABLE:
            tries = 1 + _trailing(earlier, OutcomeKind.UNAVAILABLE)
            return Retry(delay_after(tries, first=policy.retry_delay, jitter=jitter), counted=False)
        case OutcomeKind.CRASHED if outcome.lost_session and not policy.rerun_lost_session:
            return Fail()
        case OutcomeKind.CRASHED if not policy.repeatable and not policy.rerun_lost_session:
            return Fail()
        case OutcomeKind.CRASHED if _trailing(earlier, OutcomeKind.CRASHED) >= MAX_RESUMES:
            return Fail(dead_letter=True)
        case OutcomeKind.FAILED | OutcomeKind.TIMED_OUT | OutcomeKind.STALLED | OutcomeKind.CRASHED:
            if counted >= policy.max_attempts:
                return Fail(dead_letter=True)
            return Retry(delay_after(counted, first=policy.retry_delay, jitter=jitter))
        case (
            OutcomeKind.DENIED
            | OutcomeKind.AUDIT_REJECTED
            | OutcomeKind.VERIFY_FAILED
            | OutcomeKind.BUDGET
            | OutcomeKind.MAX_TURNS
            | OutcomeKind.REFUSED
            | OutcomeKind.CANCELLED
            | OutcomeKind.REJECTED
        ):
            return Fail()
        case _:
            assert_never(outcome.kind)


def is_returned(outcome: Outcome, *, probed: bool) -> bool:
    """Whether an attempt that ended so came back uncounted for a cause of the task's own.

    *probed*: it tried an account that was paused before it began, so that what it found is not of its making.
    """
    if (outcome.kind is OutcomeKind.ACCOUNT and outcome.model is None) or outcome.unreachable:
        return not probed
    return outcome.kind in {OutcomeKind.ACCOUNT, OutcomeKind.UNAVAILABLE}


def returns_in(attempts: Iterable[Attempt]) -> int:
    """How often in a row the task came back for a cause of its own, up to the latest attempt.

    Shutdowns and limits in between neither count nor end the row; an answer of the model ends it.
    """
    row = 0
    for attempt in sorted(attempts, key=lambda attempt: attempt.number, reverse=True):
        if attempt.counted or attempt.num_turns:
            break
        row += attempt.returned
    return row


def session_of_next(journal: Journal | None) -> str | None:
    """As ``session_to_continue``, and as a person wants it."""
    if journal is None or journal.fresh:
        return None
    return session_to_continue(journal.attempts, whatever_came=journal.begin_at is not None)


def session_to_continue(attempts: Iterable[Attempt], *, whatever_came: bool = False) -> str | None:
    """The session that the next attempt goes on with, None if it starts afresh.

    *whatever_came*: also after an outcome that ends the work, as a person wants it.
    """
    last = max(attempts, key=lambda attempt: attempt.number, default=None)
    if last is None:
        return None
    return last.session_id if whatever_came or last.outcome in _CONTINUED else None


def _trailing(attempts: tuple[Attempt, ...], kind: OutcomeKind) -> int:
    """How many of the latest attempts, without a gap, ended as *kind*; the queue's interruptions do not count."""
    row = 0
    for attempt in sorted(attempts, key=lambda attempt: attempt.number, reverse=True):
        if attempt.outcome is OutcomeKind.INTERRUPTED:
            continue
        if attempt.outcome is not kind:
            break
        row += 1
    return row
