"""``run --cycles N`` and ``--drain``: how many tasks are begun, and when it is over."""

from __future__ import annotations

import pytest

from task_queue.daemon.quota import Quota
from task_queue.domain.model import Outcome, OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.executor import Order
from task_queue.ports.runner import RunningAttempt
from tests.fakes import SUCCESS, Bench, FakeRunners

FAILED = Outcome(OutcomeKind.FAILED, "it did not work")
A, B = TaskId("task-a"), TaskId("task-b")
REJECTED = "---\npriorty: 1\n---\n# x"


def never() -> bool:
    return False


def states(bench: Bench, *ids: TaskId) -> list[TaskState | None]:
    return [bench.engine.state_of(task_id) for task_id in ids]


def test_a_worker_claims_no_more_than_the_quota_however_late_the_main_thread_looks() -> None:
    """It was stopped by whoever counted, which could be after the next claim: that task was then killed."""
    bench = Bench(SUCCESS, SUCCESS, quota=Quota(1))
    bench.drop(A)
    bench.drop(B)

    bench.turn(3)

    assert states(bench, A, B) == [TaskState.COMPLETED, TaskState.PENDING]
    assert bench.quota.close(never)


def test_the_quota_is_that_of_all_sources_together() -> None:
    quota = Quota(1)
    first, second = Bench(SUCCESS, quota=quota), Bench(SUCCESS, quota=quota)
    first.drop(A)
    second.drop(B)
    second.worker.source = "other"

    first.turn()
    second.turn()

    assert states(first, A) + states(second, B) == [TaskState.COMPLETED, TaskState.PENDING]
    assert second.worker.hold_reason == "as many tasks as --cycles allows have begun"


def test_a_task_is_one_cycle_however_many_attempts_it_takes() -> None:
    """The next try goes before a task that has not begun, even one of higher priority."""
    bench = Bench(FAILED, SUCCESS, quota=Quota(1))
    bench.drop(A)
    bench.turn()
    bench.drop(B, "---\npriority: 9\n---\n# Now")

    bench.turn()
    over_meanwhile = bench.quota.close(never)
    bench.clock.advance(30)
    bench.turn()

    assert not over_meanwhile
    assert states(bench, A, B) == [TaskState.COMPLETED, TaskState.PENDING]
    assert bench.quota.close(never)


@pytest.mark.parametrize("text", [REJECTED, "# Do it"], ids=["rejected", "cancelled"])
def test_what_ends_without_a_start_is_a_cycle(text: str) -> None:
    bench = Bench(SUCCESS, quota=Quota(1))
    bench.drop(A, text)
    bench.drop(B)
    if text != REJECTED:
        bench.engine.requests.request_cancel(A)

    bench.turn(3)

    assert states(bench, A, B) == [TaskState.FAILED, TaskState.PENDING]
    assert bench.quota.close(never)


def test_two_documents_that_are_rejected_are_two_cycles() -> None:
    """And the worker that may not reject the second waits, instead of asking again and again."""
    bench = Bench(quota=Quota(1))
    bench.drop(A, REJECTED)
    bench.drop(B, REJECTED)

    wait_s = bench.turn(2)

    assert sorted(map(str, states(bench, A, B))) == ["failed", "pending"]
    assert wait_s is None


def test_a_task_that_was_taken_away_between_its_attempts_frees_its_place() -> None:
    bench = Bench(FAILED, SUCCESS, quota=Quota(1))
    bench.drop(A)
    bench.turn()

    del bench.engine.documents[A]
    bench.drop(B)
    bench.turn(2)

    assert states(bench, B) == [TaskState.COMPLETED]


def test_a_worker_that_was_refused_is_woken_once_there_is_a_place() -> None:
    quota = Quota(1)
    woken: list[str] = []
    assert quota.take("a", A, lambda: None)

    assert not quota.take("b", B, lambda: woken.append("b"))
    quota.give_back("a", A, ended=False)

    assert woken == ["b"]
    assert quota.take("b", B, lambda: None)


def test_it_is_not_over_while_a_task_is_in_hand() -> None:
    """Enough have ended, nothing waits: and yet one that was begun is worked to its end."""
    bench = Bench(SUCCESS, SUCCESS, quota=Quota(2))
    over: list[bool] = []

    class Asking(FakeRunners):
        def start(self, order: Order) -> RunningAttempt:
            over.append(bench.quota.close(lambda: True))
            return super().start(order)

    bench.runners = Asking(bench.engine, [SUCCESS], bench.clock)
    bench.worker = bench.new_worker()
    bench.drop(A)
    bench.turn()

    assert over == [False]
    assert bench.quota.close(lambda: True)


def test_what_arrives_once_it_is_over_stays_where_it_is() -> None:
    """The worker had said that nothing waits; a document that came after that was claimed and then killed."""
    bench = Bench(SUCCESS)
    bench.turn()
    assert bench.quota.close(lambda: bench.worker.drained)

    bench.drop(A)
    bench.turn()

    assert states(bench, A) == [TaskState.PENDING]
    assert bench.runners.orders == []


def test_what_an_earlier_daemon_began_is_worked_to_its_end_beyond_the_quota() -> None:
    quota = Quota(1)
    quota.begin("a", A)
    quota.begin("b", B)

    quota.give_back("a", A, ended=True)
    over_early = quota.close(never)
    quota.give_back("b", B, ended=True)

    assert not over_early
    assert quota.close(never)
    assert not quota.take("a", TaskId("task-c"), lambda: None)
