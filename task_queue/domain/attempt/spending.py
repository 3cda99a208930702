"""What an attempt is charged: what the CLI reported, or an estimate where it was ended before its report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from task_queue.domain.attempt.model_usage import ModelUsage, summed
from task_queue.domain.local_time import next_midnight

if TYPE_CHECKING:
    from task_queue.domain.model import Attempt, Outcome, Work


@dataclass(frozen=True, slots=True)
class Meter:
    """What a session has been charged so far, in USD, and what it has used."""

    reported: float = 0.0
    """The CLI's cumulative total when it reported last."""
    estimated: float = 0.0
    """Charged since then by estimate."""
    models: ModelUsage = field(default_factory=dict[str, dict[str, Any]])
    """The CLI's cumulative count by model when it reported last."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one conversation is charged; ``usd`` None: nothing is known to have been spent."""

    usd: float | None
    estimated: float
    """How much of it is an estimate."""
    after: Meter


def charge(before: Meter, *, reported: float | None, answers_usd: float) -> Charge:
    """*reported*: the session's total, if the CLI said it; *answers_usd*: an estimate of its answers."""
    if reported is None:
        return Charge(
            answers_usd or None, answers_usd, Meter(before.reported, before.estimated + answers_usd)
        )
    # A total below the last one is a new count: the CLI lost the old one when it was killed.
    grown = reported - before.reported if reported >= before.reported else reported
    if before.estimated:
        # What a CLI spent that was ended by SIGTERM is in the next one's total, what a killed one spent is not
        # (2.1.330). So what was charged already is taken off, but never more than leaves this conversation's own.
        grown = max(grown - before.estimated, min(grown, answers_usd))
    return Charge(grown, 0.0, Meter(reported))


def meter_of(attempts: Iterable[Attempt], session_id: str) -> Meter:
    """Where the session's meter stands after *attempts*."""
    mine = [attempt for attempt in attempts if attempt.session_id == session_id]
    reported = [attempt.session_cost_usd for attempt in mine if attempt.session_cost_usd is not None]
    last = mine[-1] if mine else None
    return Meter(
        reported[-1] if reported else 0.0,
        last.session_estimated_usd if last else 0.0,
        last.session_model_usage if last else {},
    )


def meter_after(work: Work) -> Meter:
    """Where the session's meter stands after *work*."""
    return Meter(work.session_cost_usd or 0.0, work.session_estimated_usd, work.session_model_usage)


def added(total: Work, more: Work, *, keeps_session: bool) -> Work:
    """Both together; what is reported of a session is the implementer's (*keeps_session*), never an auditor's."""
    reported = more if keeps_session else total
    costs = [cost for cost in (total.total_cost_usd, more.total_cost_usd) if cost is not None]
    from task_queue.domain.model import Work  # what reads a transcript's end needs none of it

    return Work(
        output=reported.output,
        num_turns=total.num_turns + more.num_turns,
        duration_api_ms=total.duration_api_ms + more.duration_api_ms,
        total_cost_usd=sum(costs) if costs else None,
        estimated_cost_usd=total.estimated_cost_usd + more.estimated_cost_usd,
        cost_incomplete=total.cost_incomplete or more.cost_incomplete,
        session_id=reported.session_id,
        usage=_sums(total.usage, more.usage),
        model_usage=summed((total.model_usage, more.model_usage)),
        session_model_usage=reported.session_model_usage,
        permission_denials=(*total.permission_denials, *(more.permission_denials if keeps_session else ())),
        billed_to=more.billed_to or total.billed_to,
        session_cost_usd=reported.session_cost_usd,
        session_estimated_usd=reported.session_estimated_usd,
        utilization=more.utilization if more.utilization is not None else total.utilization,
    )


def _sums(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Token counts added up; everything else as it was reported last."""
    sums = {**one, **other}
    for key, value in one.items():
        more = other.get(key)
        if isinstance(value, int) and isinstance(more, int):
            sums[key] = value + more
    return sums


def renewed(
    outcome: Outcome, *, own_left_usd: float | None, allowance_usd: float | None, now: datetime
) -> Outcome:
    """*outcome* of an attempt that might spend *allowance_usd* of *own_left_usd*, what the task's own budget left.

    A budget that ended because of the day's bound, not the task's own, is renewed at midnight.
    """
    if outcome.kind != "budget" or allowance_usd is None:
        return outcome
    if own_left_usd is not None and own_left_usd <= allowance_usd:
        return outcome
    return replace(outcome, reason="the daily budget is spent", resets_at=next_midnight(now))
