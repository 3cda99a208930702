"""What every engine promises. A test class of each engine inherits ``EngineContract`` and gives a bench."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from task_queue.domain.attempt.results import (
    attempt_of,
    bare_ending,
    journal_after,
    result_of,
)
from task_queue.domain.attempt.retry import Delay
from task_queue.domain.attempt.retry_wish import RetryWish
from task_queue.domain.errors import ClaimHeld, ClaimLost, TaskFileError, UnknownTaskError
from task_queue.domain.model import (
    Attempt,
    Claim,
    Ending,
    Journal,
    Outcome,
    OutcomeKind,
    Result,
    RunRecord,
    Work,
)
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.owners import this_process
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.store import Engine

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
DONE = Outcome(OutcomeKind.SUCCEEDED, "done")


class EngineBench(ABC):
    """An engine, and the hands of a person beside it."""

    engine: Engine

    @abstractmethod
    def drop(self, task_id: str, text: str = "# Do it") -> TaskId: ...

    @abstractmethod
    def delete(self, task_id: str) -> None: ...

    @abstractmethod
    def edit(self, task_id: str, text: str) -> None:
        """Put a newer text in the place of the document, which may be claimed."""

    @abstractmethod
    def kept(self, name: str) -> str:
        """The newer text that is kept under *name*."""

    @abstractmethod
    def state_of(self, task_id: str) -> TaskState | None: ...

    @abstractmethod
    def result(self, task_id: str) -> Result | None: ...

    @abstractmethod
    def text_of(self, task_id: str) -> str:
        """The document of an ended task."""

    def waiting(self) -> list[str]:
        return sorted(task.id for task in self.engine.survey().waiting)

    def claim(self, task_id: str) -> Claim:
        self.engine.survey()
        return self.engine.queue.claim(TaskId(task_id), worker="test", now=NOW)

    def end(self, claim: Claim, outcome: Outcome = DONE) -> Ending:
        return self.engine.attempts.commit(claim, bare_ending(claim, outcome, by="runner", now=NOW))

    def settle(self, claim: Claim, state: TaskState = TaskState.COMPLETED) -> Result:
        ending = self.end(claim)
        result = result_of(
            claim, ending, self.engine.queue.journal(claim), state=state, source="s", workspace=None
        )
        self.engine.queue.settle(claim, result)
        return result


class RunnerBench(EngineBench):
    @abstractmethod
    def writer(self, claim: Claim) -> AttemptWriter:
        """What a runner of *claim* would write to."""


class EngineContract(ABC):
    @pytest.fixture
    @abstractmethod
    def bench(self) -> EngineBench: ...

    def test_a_dropped_task_waits(self, bench: EngineBench) -> None:
        """It is surveyed with its title and settings."""
        bench.drop("task-a", "---\npriority: 7\n---\n# Fix it")

        (task,) = bench.engine.survey().waiting
        assert (task.id, task.title, task.priority) == ("task-a", "Fix it", 7)

    def test_a_claimed_task_does_not_wait(self, bench: EngineBench) -> None:
        """And cannot be claimed twice."""
        bench.drop("task-a")
        bench.claim("task-a")

        assert bench.waiting() == []
        with pytest.raises(ClaimHeld):
            bench.claim("task-a")

    def test_what_is_not_there_cannot_be_claimed(self, bench: EngineBench) -> None:
        """A document that went away meanwhile is no error, only not to be had."""
        with pytest.raises(ClaimHeld):
            bench.claim("task-a")

    def test_a_claim_shows_among_the_claims(self, bench: EngineBench) -> None:
        """Whoever looks sees the same claim."""
        bench.drop("task-a")
        claim = bench.claim("task-a")

        assert bench.engine.queue.claims() == (claim,)

    def test_the_claimed_text_is_kept(self, bench: EngineBench) -> None:
        """What runs is the document as it was at the claim."""
        bench.drop("task-a", "# First text")
        claim = bench.claim("task-a")
        bench.delete("task-a")

        assert bench.engine.queue.task(claim).title == "First text"
        assert bench.engine.requests.document_is_gone(claim)

    def test_a_bad_document_is_reported(self, bench: EngineBench) -> None:
        """The survey says why; the claim's task raises the same."""
        bench.drop("task-a", "---\nno: such key\n---\n# Do it")

        ((task_id, reason),) = bench.engine.survey().rejected
        claim = bench.claim("task-a")
        assert (task_id, "line 2" in reason) == ("task-a", True)
        with pytest.raises(TaskFileError):
            bench.engine.queue.task(claim)

    def test_a_settled_task_has_its_place_and_result(self, bench: EngineBench) -> None:
        """Document moved, result recorded, claim gone."""
        bench.drop("task-a", "# Text")
        result = bench.settle(bench.claim("task-a"))

        assert bench.state_of("task-a") is TaskState.COMPLETED
        assert bench.result("task-a") == result
        assert bench.text_of("task-a") == "# Text"
        assert bench.engine.queue.claims() == ()

    def test_a_document_edited_while_it_runs_is_kept(self, bench: EngineBench) -> None:
        """What ran is filed; the newer text stays beside, under a name that does not run."""
        bench.drop("task-a", "# Old")
        claim = bench.claim("task-a")
        bench.edit("task-a", "# New")
        result = result_of(
            claim,
            bench.end(claim),
            Journal(claim.task_id),
            state=TaskState.COMPLETED,
            source="s",
            workspace=None,
        )

        assert bench.engine.queue.settle(claim, result) == "edited-task-a.md"
        settled = bench.result("task-a")
        assert bench.text_of("task-a") == "# Old"
        assert bench.kept("edited-task-a.md") == "# New"
        assert settled is not None
        assert "edited" in settled.product.notes[0]
        assert bench.waiting() == []

    def test_a_document_edited_before_a_retry_is_kept_beside(self, bench: EngineBench) -> None:
        """The same text is tried again; the newer one waits for a person."""
        bench.drop("task-a", "# Old")
        claim = bench.claim("task-a")
        bench.edit("task-a", "# New")
        bench.end(claim, Outcome(OutcomeKind.FAILED, "no"))
        newer = bench.engine.queue.release(claim, bench.engine.queue.journal(claim))

        again = bench.claim("task-a")
        assert bench.engine.queue.task(again).title == "Old"
        assert newer is not None
        assert bench.kept(newer) == "# New"

    def test_settling_again_changes_nothing(self, bench: EngineBench) -> None:
        """Recovery may repeat it."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        result = bench.settle(claim)

        bench.engine.queue.settle(claim, result)
        assert bench.result("task-a") == result

    def test_a_lost_claim_cannot_settle_or_release(self, bench: EngineBench) -> None:
        """The outcome is dropped, because somebody else works on the task now."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        stale = replace(claim, attempt=7)
        ending = bare_ending(stale, DONE, by="runner", now=NOW)
        result = result_of(
            stale, ending, Journal(claim.task_id), state=TaskState.COMPLETED, source="s", workspace=None
        )

        with pytest.raises(ClaimLost):
            bench.engine.queue.settle(stale, result)
        with pytest.raises(ClaimLost):
            bench.engine.queue.release(stale, Journal(claim.task_id))
        assert bench.state_of("task-a") is TaskState.RUNNING

    def test_the_first_ending_stands(self, bench: EngineBench) -> None:
        """A cancel that comes after the runner's own ending is answered with that one."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        first = bench.end(claim)

        assert bench.end(claim, Outcome(OutcomeKind.CANCELLED, "late")) == first
        assert bench.engine.attempts.ending_of(claim) == first

    def test_the_tombstone_stands(self, bench: EngineBench) -> None:
        """Once an attempt is given up, it stays so."""
        bench.drop("task-a")
        claim = bench.claim("task-a")

        tombstone = bench.engine.attempts.abandon(claim, now=NOW)
        assert tombstone.abandoned
        assert bench.engine.attempts.run_of(claim) == tombstone

    def test_a_released_task_waits_again_with_its_history(self, bench: EngineBench) -> None:
        """The journal carries the attempts; the next claim has the next number and the same session."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        ending = bench.end(claim, Outcome(OutcomeKind.CRASHED, "died"))
        attempt = replace(attempt_of(claim, ending), session_id=claim.session_id)
        later = NOW + timedelta(minutes=5)
        bench.engine.queue.release(claim, Journal(claim.task_id, (attempt,), later))

        (task,) = bench.engine.survey().waiting
        again = bench.claim("task-a")
        assert task.next_try == Delay(attempt.ended_at, later)
        assert (again.attempt, again.session_id, again.resumes) == (2, claim.session_id, True)
        assert bench.engine.queue.journal(again).attempts == (attempt,)

    def test_a_failed_attempt_starts_afresh(self, bench: EngineBench) -> None:
        """Only a broken session is continued, not one whose agent ended and failed."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        failed: Attempt = attempt_of(claim, bench.end(claim, Outcome(OutcomeKind.FAILED, "no")))
        bench.engine.queue.release(claim, Journal(claim.task_id, (failed,)))

        again = bench.claim("task-a")
        assert (again.resumes, again.session_id == claim.session_id) == (False, False)

    def test_the_same_name_again_is_a_new_record(self, bench: EngineBench) -> None:
        """The older record stays as it is; the new one is numbered."""
        for _ in range(3):
            bench.drop("task-a")
            bench.settle(bench.claim("task-a"))

        assert [bench.state_of(name) for name in ("task-a", "task-a.2", "task-a.3")] == [
            TaskState.COMPLETED
        ] * 3

    def test_a_retried_numbered_record_is_not_shared(self, bench: EngineBench) -> None:
        """A task dropped under the first name while task-a.2 waits again gets the next number."""
        for _ in range(2):
            bench.drop("task-a")
            bench.settle(bench.claim("task-a"), TaskState.FAILED)
        bench.engine.requests.requeue(TaskId("task-a.2"))
        bench.drop("task-a")

        assert [bench.claim("task-a").task_id, bench.claim("task-a.2").task_id] == ["task-a.3", "task-a.2"]

    @pytest.mark.parametrize("fresh", [False, True])
    def test_a_fresh_retry_begins_a_new_session(self, bench: EngineBench, *, fresh: bool) -> None:
        """Another one goes on with a session that can be continued."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        died, work = Outcome(OutcomeKind.CRASHED, "died"), Work(session_id=claim.session_id)
        bench.engine.attempts.commit(claim, bare_ending(claim, died, by="runner", now=NOW, work=work))
        bench.settle(claim, TaskState.FAILED)
        bench.engine.requests.requeue(TaskId("task-a"), RetryWish(fresh=fresh))

        again = bench.claim("task-a")
        assert bench.engine.queue.journal(again).fresh is fresh
        assert again.resumes is not fresh
        assert (again.session_id == claim.session_id) is not fresh

    def test_a_persons_retry_goes_back_to_pending(self, bench: EngineBench) -> None:
        """With its history, uncounted, and the numbers going on."""
        bench.drop("task-a")
        bench.settle(bench.claim("task-a"), TaskState.FAILED)
        bench.engine.requests.requeue(TaskId("task-a"))

        claim = bench.claim("task-a")
        history = bench.engine.queue.journal(claim).attempts
        assert (claim.task_id, claim.attempt) == ("task-a", 2)
        assert [attempt.counted for attempt in history] == [False]

    def test_a_task_that_waits_for_a_person_goes_on_with_a_retry(self, bench: EngineBench) -> None:
        """It stays in pending/ and is never next; the retry forgets how often it came back."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        back = attempt_of(claim, bench.end(claim, Outcome(OutcomeKind.UNAVAILABLE, "no")))
        bench.engine.queue.release(claim, Journal(claim.task_id, (back,), needs_person="came back"))

        (held,) = bench.engine.survey().waiting
        next_one = bench.engine.survey().waiting.next(now=NOW, state_of=bench.state_of)
        bench.engine.requests.requeue(TaskId("task-a"))
        (freed,) = bench.engine.survey().waiting
        history = bench.engine.queue.journal(bench.claim("task-a")).attempts
        assert (back.returned, held.needs_person, freed.needs_person) == (True, "came back", "")
        assert next_one is None
        assert [attempt.returned for attempt in history] == [False]

    def test_what_the_account_sent_back_is_known(self, bench: EngineBench) -> None:
        """How often in a row: the others try the account first."""
        bench.drop("task-a")
        for kind in (OutcomeKind.CRASHED, OutcomeKind.LIMITED, OutcomeKind.ACCOUNT):
            claim = bench.claim("task-a")
            journal = bench.engine.queue.journal(claim)
            attempts = (*journal.attempts, attempt_of(claim, bench.end(claim, Outcome(kind, "no"))))
            bench.engine.queue.release(claim, Journal(claim.task_id, attempts))

        (task,) = bench.engine.survey().waiting
        assert task.paused == 2

    def test_what_did_not_fail_cannot_be_retried(self, bench: EngineBench) -> None:
        """A person is told."""
        bench.drop("task-a")
        with pytest.raises(UnknownTaskError):
            bench.engine.requests.requeue(TaskId("task-a"))

    def test_a_waiting_task_can_be_cancelled(self, bench: EngineBench) -> None:
        """It no longer waits but shows as cancelled, until it is settled."""
        bench.drop("task-a")
        bench.engine.survey()
        bench.engine.requests.request_cancel(TaskId("task-a"))

        survey = bench.engine.survey()
        assert (list(survey.waiting), survey.cancelled) == ([], ("task-a",))

    def test_a_running_task_can_be_cancelled(self, bench: EngineBench) -> None:
        """Its worker sees the request, twice asked or once."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        before = bench.engine.requests.cancel_requested(claim)
        bench.engine.requests.request_cancel(TaskId("task-a"))
        bench.engine.requests.request_cancel(TaskId("task-a"))

        assert (before, bench.engine.requests.cancel_requested(claim)) == (False, True)

    def test_an_unknown_task_cannot_be_cancelled(self, bench: EngineBench) -> None:
        """A person is told."""
        with pytest.raises(UnknownTaskError):
            bench.engine.requests.request_cancel(TaskId("task-none"))

    def test_the_journal_after_a_release_can_be_released_again(self, bench: EngineBench) -> None:
        """Recovery may find the journal written and the lock still there."""
        from task_queue.domain.model import Release

        bench.drop("task-a")
        claim = bench.claim("task-a")
        ending = bench.end(claim, Outcome(OutcomeKind.INTERRUPTED, "stopped"))
        first = journal_after(claim, ending, bench.engine.queue.journal(claim), Release())
        again = journal_after(claim, ending, first, Release())

        assert first == again


class RunnerContract(ABC):
    """Of the engines to whose log a runner writes itself."""

    @pytest.fixture
    @abstractmethod
    def bench(self) -> RunnerBench: ...

    def test_a_runner_that_shows_itself_is_seen(self, bench: RunnerBench) -> None:
        """Recovery finds its record in the place of the tombstone, with the claim that it works for."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        run = replace(run_record(claim), claim=claim)

        assert bench.writer(claim).show(run)
        assert bench.engine.attempts.run_of(claim) == run
        assert bench.engine.attempts.abandon(claim, now=NOW) == run

    def test_a_runner_that_comes_too_late_is_refused(self, bench: RunnerBench) -> None:
        """After the tombstone no agent of that attempt may act."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        tombstone = bench.engine.attempts.abandon(claim, now=NOW)

        assert not bench.writer(claim).show(run_record(claim))
        assert bench.engine.attempts.run_of(claim) == tombstone

    def test_a_runner_sees_whether_its_claim_stands(self, bench: RunnerBench) -> None:
        """Not once the task was given back, nor once another worker has it."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        writer = bench.writer(claim)
        before = writer.claim_stands()
        bench.engine.queue.release(claim, Journal(claim.task_id))
        released = writer.claim_stands()
        bench.claim("task-a")

        assert (before, released, writer.claim_stands()) == (True, False, False)

    def test_a_runners_transcript_is_read_by_its_worker(self, bench: RunnerBench) -> None:
        """While it is written, without its secrets, and it shows that an agent may have acted."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        attempts, writer = bench.engine.attempts, bench.writer(claim)
        before = (
            list(attempts.transcript(claim)),
            list(writer.transcript_lines()),
            attempts.may_have_acted(claim),
        )
        transcript = writer.transcript(limit_mb=1, secrets=["opensesame"])
        transcript.write("note", "say opensesame")
        read, acted = list(attempts.transcript(claim)), attempts.may_have_acted(claim)
        transcript.close()

        assert before == ([], [], False)
        assert acted
        assert [json.loads(line)["raw"] for line in read] == ["say [redacted]"]
        assert list(writer.transcript_lines()) == read

    def test_a_runners_steps_are_there_for_the_next_attempt(self, bench: RunnerBench) -> None:
        """In their order; an attempt without steps has none."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        bench.writer(claim).add_step('{"step": 1}')
        bench.writer(claim).add_step('{"step": 2}')
        seen = list(bench.engine.attempts.steps(claim))
        bench.engine.queue.release(claim, Journal(claim.task_id))
        again = bench.claim("task-a")

        assert seen == ['{"step": 1}', '{"step": 2}']
        assert list(bench.writer(again).steps(1)) == seen
        assert list(bench.writer(again).steps(2)) == list(bench.engine.attempts.steps(again)) == []

    def test_a_runners_ending_is_the_first_or_none(self, bench: RunnerBench) -> None:
        """One that comes after the worker's changes nothing, and the runner can see why."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        writer = bench.writer(claim)
        own = bare_ending(claim, DONE, by="runner", now=NOW)
        late = replace(own, outcome=Outcome(OutcomeKind.FAILED, "late"))

        assert writer.ending() is None
        assert (writer.commit(own), writer.commit(late)) == (True, False)
        assert writer.ending() == bench.engine.attempts.ending_of(claim) == own

    def test_a_forged_ending_makes_room_for_the_runners(self, bench: RunnerBench) -> None:
        """It is kept under another name, which the runner can tell."""
        bench.drop("task-a")
        claim = bench.claim("task-a")
        writer = bench.writer(claim)
        nothing = writer.set_ending_aside()
        bench.end(claim, Outcome(OutcomeKind.SUCCEEDED, "forged"))
        aside = writer.set_ending_aside()
        own = bare_ending(claim, Outcome(OutcomeKind.FAILED, "true"), by="runner", now=NOW)

        assert (nothing, bool(aside)) == (None, True)
        assert writer.commit(own)
        assert bench.engine.attempts.ending_of(claim) == own

    def test_a_runner_sees_which_tasks_are_unfinished(self, bench: RunnerBench) -> None:
        """Those that run and those that will be tried again: what belongs to them must stay."""
        for name in ("task-a", "task-b", "task-c", "task-d"):
            bench.drop(name)
        claim = bench.claim("task-a")
        released = bench.claim("task-b")
        ending = bench.end(released, Outcome(OutcomeKind.CRASHED, "died"))
        bench.engine.queue.release(released, Journal(released.task_id, (attempt_of(released, ending),)))
        bench.settle(bench.claim("task-c"))

        assert bench.writer(claim).unfinished() == {"task-a", "task-b"}


def run_record(claim: Claim) -> RunRecord:
    return RunRecord(claim.task_id, claim.attempt, "marker", this_process(), NOW)
