"""What follows from the ending of an attempt, and does it: the task is settled, or it is given back and waits again."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from task_queue.daemon.claimed_tasks import ClaimedTasks
from task_queue.daemon.context import SourceContext
from task_queue.domain import events
from task_queue.domain.attempt.figures import figures_of
from task_queue.domain.attempt.lifecycle import decide
from task_queue.domain.attempt.results import attempts_before, journal_after, result_of
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
)
from task_queue.domain.task import TaskState
from task_queue.domain.work.report import report_of


class Consequences:
    """For the claims of one source."""

    def __init__(self, context: SourceContext) -> None:
        self._source = context.source
        self._queue = context.engine.queue
        self._requests = context.engine.requests
        self._orders = context.orders
        self._admission = context.admission
        self._emit = context.emit
        self._timing = context.timing
        self._tasks = ClaimedTasks(context)

    def apply(self, claim: Claim, ending: Ending) -> bool:
        """Do what ``decide`` says follows from *ending*; whether that is the task's end."""
        journal = self._queue.journal(claim)
        probed = self._admission.was_paused(claim.started_at)
        self._admission.ended(self._source, claim, ending)
        disposition = decide(
            ending.outcome,
            earlier=attempts_before(journal, claim),
            policy=self._tasks.policy_of(claim),
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
        task = self._tasks.task_of(claim)
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
        task = self._tasks.task_of(claim)
        result = result_of(
            claim,
            ending,
            journal,
            state=state,
            source=self._source,
            workspace=self._orders.workspace_of(task) if task else None,
            outcome=outcome,
            dead_letter=dead_letter,
            settings=self._tasks.settings_of(claim),
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
