"""The worker against fakes: what it claims, in which order, and what follows from each outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from task_queue.daemon.worker import LONGEST_WAIT_FOR_A_TIME_S
from task_queue.domain import events
from task_queue.domain.attempt.lifecycle import MAX_RETURNS
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.errors import ExecutorError, NeedsPersonError, NotConfiguredError, TaskFileError
from task_queue.domain.model import Outcome, OutcomeKind, Work
from task_queue.domain.standstill import Lull
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.executor import Order
from task_queue.ports.runner import RunningAttempt
from tests.admission import FakeAdmission
from tests.fakes import SUCCESS, Bench, FakeOrders, FakeRunners

FAILED = Outcome(OutcomeKind.FAILED, "it did not work")


def state_of(bench: Bench, task_id: str) -> TaskState | None:
    return bench.engine.state_of(TaskId(task_id))


def test_a_task_is_completed() -> None:
    """One turn takes a waiting task to completed, with a result that says so."""
    bench = Bench(SUCCESS)
    bench.drop("task-a")

    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert state_of(bench, "task-a") is TaskState.COMPLETED
    assert (result.success, result.outcome, len(result.attempts)) == (True, OutcomeKind.SUCCEEDED, 1)
    assert result.error == ""


def test_tasks_run_in_order() -> None:
    """Priority first, then the time in the name, one at a time."""
    bench = Bench(SUCCESS, SUCCESS, SUCCESS)
    bench.drop("task-20260207-120002-late")
    bench.drop("task-20260207-120001-early")
    bench.drop("task-20260207-120003-urgent", "---\npriority: 9\n---\n# Now")

    bench.turn(3)

    order = [order.claim.task_id.rsplit("-", 1)[1] for order in bench.runners.orders]
    assert order == ["urgent", "early", "late"]


def test_a_failed_attempt_is_tried_again_after_its_delay() -> None:
    """Not before retry_delay has passed, and in the same task's history."""
    bench = Bench(FAILED, SUCCESS)
    bench.drop("task-a")

    wait_s = bench.turn(2)
    assert (state_of(bench, "task-a"), wait_s) == (TaskState.PENDING, 30.0)
    bench.clock.advance(30)
    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert [attempt.outcome for attempt in result.attempts] == [OutcomeKind.FAILED, OutcomeKind.SUCCEEDED]


def test_nothing_is_waited_for_where_nothing_lies() -> None:
    """Only a wake-up ends that wait: an idle source costs no wake-up."""
    assert Bench().turn() is None


def test_a_time_far_away_is_waited_for_in_steps() -> None:
    """The clock may be set meanwhile; and no wait is longer than poll(2) can be told."""
    bench = Bench()
    bench.drop("task-a", "---\nnot_before: 2099-01-01\n---\n# Later")

    assert bench.turn() == LONGEST_WAIT_FOR_A_TIME_S


def test_which_task_runs_is_news() -> None:
    """A change that no worker reports is in the state file only after the next sweep."""
    bench = Bench(SUCCESS)
    bench.drop("task-a")

    bench.turn()

    assert bench.shown == ["task-a"]


def test_a_clock_set_back_by_a_day_does_not_delay_the_next_try_by_a_day() -> None:
    """The delay was given tomorrow, as the clock says now: it is over."""
    bench = Bench(FAILED, SUCCESS)
    bench.drop("task-a")

    bench.turn()
    bench.clock.time -= timedelta(days=1)
    bench.turn()

    assert state_of(bench, "task-a") is TaskState.COMPLETED


def test_attempts_used_up_are_a_dead_letter() -> None:
    """After max_attempts failures the task lies in failed/ and says that nobody will try again."""
    bench = Bench(FAILED, FAILED)
    bench.drop("task-a", "---\nmax_attempts: 2\n---\n# Try")

    bench.turn()
    bench.clock.advance(60)
    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert (result.state, result.dead_letter, len(result.attempts)) == (TaskState.FAILED, True, 2)


def test_shutdown_does_not_cost_an_attempt() -> None:
    """A task with one attempt survives any number of restarts, in one session."""
    interrupted = Outcome(OutcomeKind.INTERRUPTED, "the daemon was stopped")
    bench = Bench(interrupted, interrupted, SUCCESS)
    bench.runners.work = Work(session_id="the-session")
    bench.drop("task-a", "---\nmax_attempts: 1\n---\n# Try")

    bench.turn(3)

    resumed = [(order.claim.resumes, order.claim.session_id) for order in bench.runners.orders[1:]]
    assert state_of(bench, "task-a") is TaskState.COMPLETED
    assert resumed == [(True, "the-session")] * 2


def test_a_dead_runner_is_a_counted_crash_that_continues_the_session() -> None:
    """Its tree is swept, then the next attempt goes on in the same session."""
    bench = Bench(None, SUCCESS)
    bench.drop("task-a")

    bench.turn()
    bench.clock.advance(30)
    bench.turn()

    first, second = bench.runners.orders
    result = bench.engine.results[TaskId("task-a")]
    assert bench.runners.swept == [first.marker]
    assert (second.claim.session_id, second.claim.resumes) == (first.claim.session_id, True)
    assert [(a.outcome, a.counted) for a in result.attempts] == [
        (OutcomeKind.CRASHED, True),
        (OutcomeKind.SUCCEEDED, True),
    ]


def test_a_crashed_command_goes_to_a_person() -> None:
    """A program's side effects cannot be continued, so it is never silently run again."""
    bench = Bench(None)
    bench.drop("task-a", "---\nexecutor: make\n---\nall")

    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert (result.state, result.outcome) == (TaskState.FAILED, OutcomeKind.CRASHED)


def test_a_usage_limit_pauses_and_counts_nothing() -> None:
    """The task is released and the admission is told until when."""
    bench = Bench(Outcome(OutcomeKind.LIMITED, "limit", resets_at=datetime(2026, 2, 7, 15, tzinfo=UTC)))
    bench.drop("task-a")

    bench.turn()

    assert bench.admission.pauses == ["limit"]
    assert state_of(bench, "task-a") is TaskState.PENDING
    assert "AccountPaused" in bench.kinds()


def test_a_rejected_document_names_its_line() -> None:
    """It costs nothing and ends in failed/ with the reason."""
    bench = Bench()
    bench.drop("task-a", "---\nprioritty: 3\n---\n# Do it")

    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert (result.outcome, result.state) == (OutcomeKind.REJECTED, TaskState.FAILED)
    assert "line 2" in (result.error or "")
    assert "priority" in (result.error or "")


def test_a_task_that_nobody_wants_any_more_keeps_how_its_attempts_ended() -> None:
    """Cancelled while it failed: the task's outcome is the person's wish, its attempt's is what happened."""

    class CancelledMeanwhile(FakeRunners):
        def start(self, order: Order) -> RunningAttempt:
            self.engine.requests.request_cancel(order.claim.task_id)
            return super().start(order)

    bench = Bench()
    bench.runners = CancelledMeanwhile(bench.engine, [FAILED], bench.clock)
    bench.worker = bench.new_worker()
    bench.drop("task-a")

    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert (result.state, result.outcome, result.error) == (
        TaskState.FAILED,
        OutcomeKind.CANCELLED,
        "cancelled",
    )
    assert result.evidence == ("its last attempt: failed, it did not work",)
    assert [(a.outcome, a.reason) for a in result.attempts] == [(OutcomeKind.FAILED, "it did not work")]


def test_a_cancelled_waiting_task_never_starts() -> None:
    """It ends in failed/ as cancelled."""
    bench = Bench()
    bench.drop("task-a")
    bench.engine.requests.request_cancel(TaskId("task-a"))

    bench.turn()

    assert bench.engine.results[TaskId("task-a")].outcome is OutcomeKind.CANCELLED
    assert bench.runners.orders == []


def test_a_task_whose_agent_cannot_be_driven_is_given_back() -> None:
    """The source says why and tries again; nothing is counted."""
    bench = Bench(SUCCESS)
    bench.drop("task-a")
    bench.orders.refusal = ExecutorError("the workspace /gone does not exist")

    bench.turn()
    trouble = bench.worker.trouble
    bench.orders.refusal = None
    bench.clock.advance(60)
    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert trouble is not None
    assert "/gone" in trouble
    assert result.success
    assert [attempt.counted for attempt in result.attempts] == [False, True]
    assert bench.kinds().count("SourceUnavailable") == 1
    assert "SourceRecovered" in bench.kinds()


def test_a_task_that_cannot_be_ordered_is_rejected() -> None:
    """A fault of the document that shows only when the layers are put together."""
    bench = Bench()
    bench.drop("task-a")
    bench.orders.refusal = TaskFileError("the workspace nowhere does not exist")

    bench.turn()

    assert bench.engine.results[TaskId("task-a")].outcome is OutcomeKind.REJECTED


def test_a_failed_start_is_told_until_one_succeeds() -> None:
    """It was told for one look only: then its task waited for the next try, and the source seemed to be well."""
    bench = Bench(SUCCESS)
    bench.drop("task-a")
    bench.orders.refusal = ExecutorError("the SDK cannot be imported")

    bench.turn(3)
    told, recovered = bench.worker.trouble, "SourceRecovered" in bench.kinds()
    bench.orders.refusal = None
    bench.clock.advance(60)
    bench.turn()

    assert (told, recovered) == ("the SDK cannot be imported", False)
    assert bench.worker.trouble is None
    assert "SourceRecovered" in bench.kinds()


def test_no_start_is_awaited_where_no_task_is_left() -> None:
    bench = Bench()
    bench.drop("task-a")
    bench.orders.refusal = ExecutorError("the SDK cannot be imported")
    bench.turn()
    bench.engine.requests.request_cancel(TaskId("task-a"))

    bench.turn(3)

    assert bench.worker.trouble is None


def test_what_the_configuration_lost_since_the_claim_costs_no_attempt() -> None:
    """The task is given back, and the source goes on with the next one."""
    bench = Bench(SUCCESS, SUCCESS)
    bench.drop("task-a")
    bench.drop("task-b")
    bench.orders.refusal = NotConfiguredError("executor 'make' is not configured")

    bench.turn()
    bench.orders.refusal = None
    bench.turn()
    done = bench.engine.results[TaskId("task-b")].success
    bench.clock.advance(60)
    bench.turn()

    assert done
    assert bench.worker.trouble is None
    attempts = bench.engine.results[TaskId("task-a")].attempts
    assert [(attempt.outcome, attempt.counted) for attempt in attempts] == [
        (OutcomeKind.UNAVAILABLE, False),
        (OutcomeKind.SUCCEEDED, True),
    ]


def test_a_full_house_claims_nothing() -> None:
    """The reason is shown and the task waits."""
    bench = Bench(SUCCESS)
    bench.drop("task-a")
    bench.admission.refusal = "all 4 places for agents are taken"

    bench.turn()

    assert bench.worker.hold_reason == "all 4 places for agents are taken"
    assert state_of(bench, "task-a") is TaskState.PENDING


def test_a_lull_says_what_is_waited_for() -> None:
    """The first of each kind that is held, and the delayed task that waits for nothing else."""
    bench = Bench()
    bench.drop("task-agent")
    bench.drop("task-low", "---\npriority: 1\n---\n# Low")
    bench.drop("task-second")
    bench.drop("task-blocked", "---\nnot_before: 2026-02-08\ndepends_on: task-nowhere\n---\n# Blocked")
    bench.drop("task-later", "---\nnot_before: 2099-01-01T00:00:00+00:00\n---\n# Later")
    bench.admission.refusal = "account paused"

    bench.turn()

    lull = bench.worker.lull
    assert lull is not None
    assert {task.id for task in lull.held} == {"task-agent", "task-low"}
    assert lull.delayed is not None
    assert (lull.delayed.id, lull.until) == ("task-later", datetime(2099, 1, 1, tzinfo=UTC))


def test_a_worker_that_works_is_in_no_lull() -> None:
    bench = Bench(SUCCESS)
    bench.drop("task-a")
    bench.turn()
    while_it_had_work = bench.worker.lull
    bench.turn()

    assert while_it_had_work is None
    assert bench.worker.lull == Lull()


def test_a_failed_dependency_fails_the_dependent_when_asked_to() -> None:
    """It is settled without ever starting, and names the task that failed."""
    bench = Bench(FAILED)
    bench.drop("task-a", "---\nmax_attempts: 1\n---\n# First")
    bench.drop("task-b", "---\ndepends_on: task-a\non_dependency_failure: fail\n---\n# Second")

    bench.turn(3)

    error = bench.engine.results[TaskId("task-b")].error or ""
    assert "task-a" in error
    assert len(bench.runners.orders) == 1


@pytest.mark.parametrize("kind", [OutcomeKind.DENIED, OutcomeKind.MAX_TURNS, OutcomeKind.REFUSED])
def test_what_trying_again_cannot_mend_fails_at_once(kind: OutcomeKind) -> None:
    """One attempt, no dead letter."""
    bench = Bench(Outcome(kind, "no"))
    bench.drop("task-a")

    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert (result.state, result.dead_letter, len(result.attempts)) == (TaskState.FAILED, False, 1)


def test_the_same_name_again_gets_a_number() -> None:
    """The older record stays."""
    bench = Bench(SUCCESS, SUCCESS)
    bench.drop("task-a")
    bench.turn()
    bench.drop("task-a", "# Another")
    bench.turn()

    assert set(bench.engine.results) == {"task-a", "task-a.2"}


def test_a_persons_retry_continues_the_numbers() -> None:
    """Earlier attempts stay in the history, but do not count any more."""
    bench = Bench(FAILED, SUCCESS)
    bench.drop("task-a", "---\nmax_attempts: 1\n---\n# Try")
    bench.turn()
    bench.engine.requests.requeue(TaskId("task-a"))
    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert [(a.number, a.counted) for a in result.attempts] == [(1, False), (2, True)]
    assert result.success


class FailingOrders(FakeOrders):
    """Cannot run anything because of *why*, until that is None."""

    why: Exception | None = NeedsPersonError("there is no workspace", hint="name one")

    def check(self, task: Waiting) -> None:  # noqa: ARG002 - the port's signature
        if self.why is not None:
            raise self.why


def bench_with(orders: FakeOrders) -> Bench:
    bench = Bench(SUCCESS)
    bench.orders = orders
    bench.worker = bench.new_worker()
    bench.drop("task-a")
    return bench


def test_what_a_person_must_settle_uses_up_no_claim() -> None:
    """The source says that it needs a person, and stops saying so once that is settled."""
    orders = FailingOrders()
    bench = bench_with(orders)

    bench.turn()
    before = (bench.worker.needs_person, bench.worker.trouble, "TaskClaimed" in bench.kinds())
    orders.why = None
    bench.turn()

    assert before == (True, "there is no workspace; name one", False)
    assert (bench.worker.needs_person, state_of(bench, "task-a")) == (False, TaskState.COMPLETED)


def test_trouble_that_passes_needs_no_person() -> None:
    orders = FailingOrders()
    bench = bench_with(orders)

    bench.turn()
    orders.why = ExecutorError("the workspace is not there")
    bench.turn()

    assert bench.worker.trouble == "the workspace is not there"
    assert not bench.worker.needs_person


def test_a_worker_that_a_defect_stopped_needs_a_person() -> None:
    """Else ``run`` would wait for it for ever."""
    orders = FailingOrders()
    orders.why = ZeroDivisionError()
    bench = bench_with(orders)

    bench.worker.serve()

    assert bench.worker.needs_person


def test_a_task_that_comes_back_again_and_again_waits_for_a_person() -> None:
    """The others go on, also after a restart; a retry lets it go on, with a row of its own."""
    unavailable = Outcome(OutcomeKind.UNAVAILABLE, "setup failed")
    bench = Bench(*[unavailable] * MAX_RETURNS, SUCCESS, unavailable, SUCCESS)
    bench.drop("task-a")
    for _ in range(MAX_RETURNS):
        bench.turn()
        bench.clock.advance(2 * 3600)
    bench.worker = bench.new_worker()
    bench.drop("task-b")
    bench.turn(3)
    started = [order.claim.task_id for order in bench.runners.orders]
    (waits,) = bench.engine.survey().waiting

    assert started == ["task-a"] * MAX_RETURNS + ["task-b"]
    assert waits.needs_person == "came back 8 times in a row without an answer of the model: setup failed"
    assert bench.worker.lull == Lull()
    bench.engine.requests.requeue(TaskId("task-a"))
    for _ in range(2):
        bench.turn()
        bench.clock.advance(2 * 3600)
    assert bench.engine.results[TaskId("task-a")].success


def test_a_task_that_only_a_person_can_free_is_news_once() -> None:
    """Not one that waits for a task which may still be dropped."""
    bench = Bench(Outcome(OutcomeKind.FAILED, "no"))
    bench.drop("task-a", "---\nmax_attempts: 1\n---\n# Do it")
    bench.drop("task-b", "---\ndepends_on: [task-a]\n---\n# Do it")
    bench.drop("task-c", "---\ndepends_on: [task-none]\n---\n# Do it")
    for _ in range(4):
        bench.turn()

    stuck = [event for event in bench.events if isinstance(event, events.TaskStuck)]
    assert stuck == [events.TaskStuck("test", TaskId("task-b"), "blocked", "blocked by task-a (failed)")]


def test_what_depends_on_such_a_task_waits() -> None:
    """Nothing is cancelled."""
    bench = Bench(*[Outcome(OutcomeKind.UNAVAILABLE, "no")] * MAX_RETURNS)
    bench.drop("task-a")
    bench.drop("task-b", "---\ndepends_on: [task-a]\non_dependency_failure: fail\n---\n# Do it")
    for _ in range(MAX_RETURNS + 2):
        bench.turn()
        bench.clock.advance(2 * 3600)

    assert [state_of(bench, name) for name in ("task-a", "task-b")] == [TaskState.PENDING] * 2
    assert not bench.runners.outcomes


@pytest.mark.parametrize("kind", [OutcomeKind.LIMITED, OutcomeKind.INTERRUPTED])
def test_limits_and_shutdowns_may_come_as_often_as_they_like(kind: OutcomeKind) -> None:
    bench = Bench(*[Outcome(kind, "not its own")] * (MAX_RETURNS + 2), SUCCESS)
    bench.drop("task-a")
    for _ in range(MAX_RETURNS + 3):
        bench.turn()
        bench.clock.advance(2 * 3600)

    assert bench.engine.results[TaskId("task-a")].success


def test_an_unreachable_endpoint_makes_no_task_burn_its_tries() -> None:
    """It pauses the account; what tries it then is not to blame."""
    out = Outcome(OutcomeKind.UNAVAILABLE, "no endpoint can be reached", unreachable=True)
    bench = Bench(*[out] * (MAX_RETURNS + 4), SUCCESS)
    gate = FakeAdmission(bench.clock)
    bench.admission = gate  # type: ignore[assignment]  # the port is the same
    bench.worker = bench.new_worker()
    bench.drop("task-a")
    for _ in range(MAX_RETURNS + 5):
        bench.turn()
        bench.clock.advance(2 * 3600)

    result = bench.engine.results[TaskId("task-a")]
    assert [attempt.returned for attempt in result.attempts[:3]] == [True, False, False]
    assert result.success


def test_an_agent_that_cannot_be_started_again_and_again_waits_for_a_person() -> None:
    """It is given back each time, uncounted; its source goes on with others."""
    bench = Bench()
    bench.drop("task-a")
    bench.orders.refusal = ExecutorError("the workspace /gone does not exist")
    for _ in range(MAX_RETURNS):
        bench.turn()
        bench.clock.advance(2 * 3600)

    (waits,) = bench.engine.survey().waiting
    assert "the workspace /gone does not exist" in waits.needs_person


def test_a_runner_that_dies_before_its_first_word_twice_counts() -> None:
    """Once is given back uncounted, as after a power cut."""
    bench = Bench(SUCCESS)
    bench.runners.unseen = 3
    bench.drop("task-a")
    for _ in range(4):
        bench.turn()
        bench.clock.advance(2 * 3600)

    attempts = bench.engine.results[TaskId("task-a")].attempts
    assert [(attempt.outcome.value, attempt.counted) for attempt in attempts] == [
        ("interrupted", False),
        ("crashed", True),
        ("crashed", True),
        ("succeeded", True),
    ]
