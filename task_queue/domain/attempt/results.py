"""From an ending to the attempt's line in the history, and from the last one to the task's result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from task_queue.domain.attempt.figures import waited_before
from task_queue.domain.attempt.lifecycle import MAX_RETURNS, is_returned, returns_in
from task_queue.domain.attempt.model_usage import summed
from task_queue.domain.attempt.needs import attention_of
from task_queue.domain.attempt.retry_wish import RetryWish
from task_queue.domain.document.settings import Settings
from task_queue.domain.model import (
    Attempt,
    Claim,
    Disposition,
    Ending,
    Journal,
    Outcome,
    OutcomeKind,
    Release,
    Result,
    Retry,
    Work,
    WorkProduct,
)
from task_queue.domain.task import TaskId, TaskState

_UNCOUNTED = frozenset(
    {
        OutcomeKind.INTERRUPTED,
        OutcomeKind.LIMITED,
        OutcomeKind.ACCOUNT,
        OutcomeKind.UNAVAILABLE,
        OutcomeKind.REJECTED,
    }
)


def attempt_of(claim: Claim, ending: Ending, *, probed: bool = False) -> Attempt:
    """The history's line for *ending*; *probed* as in ``is_returned``."""
    session = ending.work.session_id or (claim.session_id if claim.resumes else None)
    return Attempt(
        number=claim.attempt,
        outcome=ending.outcome.kind,
        reason=ending.outcome.reason,
        counted=ending.outcome.kind not in _UNCOUNTED and not _is_the_days_budget(ending),
        started_at=ending.started_at,
        ended_at=ending.ended_at,
        session_id=session,
        num_turns=ending.work.num_turns,
        total_cost_usd=ending.work.total_cost_usd,
        cost_incomplete=ending.work.cost_incomplete,
        session_cost_usd=ending.work.session_cost_usd,
        estimated_cost_usd=ending.work.estimated_cost_usd,
        session_estimated_usd=ending.work.session_estimated_usd,
        cost_by_phase=ending.work.product.cost_by_phase if ending.work.product else {},
        seconds_by_phase=ending.work.product.seconds_by_phase if ending.work.product else {},
        model_usage=ending.work.model_usage,
        session_model_usage=ending.work.session_model_usage,
        steps=ending.steps,
        returned=is_returned(ending.outcome, probed=probed),
    )


def _is_the_days_budget(ending: Ending) -> bool:
    return ending.outcome.kind is OutcomeKind.BUDGET and ending.outcome.resets_at is not None


def attempts_before(journal: Journal, claim: Claim) -> tuple[Attempt, ...]:
    """The task's earlier attempts; a journal written just before a crash may hold this one already."""
    return tuple(attempt for attempt in journal.attempts if attempt.number < claim.attempt)


def journal_after(
    claim: Claim, ending: Ending, journal: Journal, disposition: Disposition, *, probed: bool = False
) -> Journal:
    """The history to keep beside a task that goes back to pending; *probed* as in ``is_returned``."""
    not_before: datetime | None = None
    match disposition:
        case Retry(delay=delay):
            not_before = ending.ended_at + delay
        case Release(until=until):
            not_before = until
        case _:
            pass
    attempts = (
        *attempts_before(journal, claim),
        _as_asked(attempt_of(claim, ending, probed=probed), journal),
    )
    needs_person = ""
    if attempts[-1].returned and returns_in(attempts) >= MAX_RETURNS:
        why = " ".join(ending.outcome.reason.split())
        needs_person = f"came back {MAX_RETURNS} times in a row without an answer of the model: {why}"
    never_began = ending.work.session_id is None
    return Journal(
        task_id=claim.task_id,
        attempts=attempts,
        not_before=not_before,
        needs_person=needs_person,
        fresh=journal.fresh and never_began,
        note=journal.note if never_began else "",
        model=journal.model,
        begin_at=journal.begin_at if never_began else None,
    )


def _as_asked(attempt: Attempt, journal: Journal) -> Attempt:
    return replace(attempt, note=journal.note, model=journal.model)


def forgiven(attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """*attempts* as history only: a person asked for another try."""
    return tuple(replace(attempt, counted=False, returned=False) for attempt in attempts)


def journal_of_retry(task_id: TaskId, attempts: Iterable[Attempt], wish: RetryWish) -> Journal:
    """The history of a task that a person has tried again."""
    return Journal(
        task_id,
        forgiven(attempts),
        fresh=wish.fresh,
        note=wish.note,
        model=wish.model,
        begin_at=wish.begin_at,
    )


def result_of(
    claim: Claim,
    ending: Ending,
    journal: Journal,
    *,
    state: TaskState,
    source: str,
    workspace: str | None,
    outcome: Outcome | None = None,
    dead_letter: bool = False,
    notes: Iterable[str] = (),
    settings: Settings | None = None,
    arrived_at: datetime | None = None,
) -> Result:
    """What ``results/<id>.json`` says; cost and turns are those of all attempts.

    *outcome* is the task's, where it is another than the last attempt's: no next attempt is wanted. *settings* are
    None of a document that is not a valid task; *arrived_at*: since when its document is there.
    """
    attempts = (*attempts_before(journal, claim), _as_asked(attempt_of(claim, ending), journal))
    costs = [attempt.total_cost_usd for attempt in attempts if attempt.total_cost_usd is not None]
    outcome, work = outcome or ending.outcome, ending.work
    success = state is TaskState.COMPLETED
    product = work.product or WorkProduct(workspace)
    waited = None
    if settings is not None and arrived_at is not None:
        waited = waited_before(attempts, arrived_at, not_before=settings.not_before)
    result = Result(
        success=success,
        output=work.output,
        error="" if success else outcome.reason,
        task_id=claim.task_id,
        started_at=attempts[0].started_at,
        completed_at=ending.ended_at,
        duration_ms=int((ending.ended_at - attempts[0].started_at).total_seconds() * 1000),
        duration_api_ms=work.duration_api_ms,
        total_cost_usd=round(sum(costs), 6) if costs else None,
        usage=work.usage,
        session_id=attempts[-1].session_id,
        num_turns=sum(attempt.num_turns for attempt in attempts),
        state=state,
        outcome=outcome.kind,
        evidence=outcome.evidence,
        attempts=attempts,
        source=source,
        worker=claim.worker,
        product=replace(
            product,
            workspace=product.workspace or workspace,
            cost_by_phase=_sums(attempt.cost_by_phase for attempt in attempts),
            seconds_by_phase=_sums(attempt.seconds_by_phase for attempt in attempts),
            notes=(*ending.notes, *product.notes, *notes),
        ),
        cost_incomplete=any(attempt.cost_incomplete for attempt in attempts),
        estimated_cost_usd=sum(attempt.estimated_cost_usd for attempt in attempts),
        model_usage=summed(attempt.model_usage for attempt in attempts),
        permission_denials=work.permission_denials,
        billed_to=work.billed_to,
        dead_letter=dead_letter,
        task_type=None if settings is None else settings.type,
        executor=None if settings is None else settings.executor,
        waited_ms=None if waited is None else int(waited.total_seconds() * 1000),
    )
    return replace(result, attention=attention_of(result))


def _sums(figures: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """By name, in the order in which the names came first."""
    sums: dict[str, float] = {}
    for each in figures:
        for name, figure in each.items():
            sums[name] = round(sums.get(name, 0.0) + figure, 6)
    return sums


def bare_ending(
    claim: Claim, outcome: Outcome, *, by: str, now: datetime, work: Work | None = None
) -> Ending:
    """The ending of an attempt that its runner did not commit itself."""
    return Ending(
        task_id=claim.task_id,
        attempt=claim.attempt,
        outcome=outcome,
        work=work or Work(),
        started_at=claim.started_at,
        ended_at=now,
        committed_by=by,
    )
