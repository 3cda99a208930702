"""Which waiting task comes next, and why the others wait."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.attempt.retry import Delay
from task_queue.domain.document.backlog import Backlog
from task_queue.domain.document.choices import OnDependencyFailure
from task_queue.domain.document.ordering import (
    DependencyFailed,
    History,
    Next,
    Ready,
    StateOf,
    Waiting,
    delayed_until,
    reasons_for,
    stuck_in,
    waiting_for,
)
from task_queue.domain.document.settings import resolve
from task_queue.domain.task import Task, TaskId, TaskState

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
FAILED, COMPLETED, RUNNING, PENDING = (
    TaskState.FAILED,
    TaskState.COMPLETED,
    TaskState.RUNNING,
    TaskState.PENDING,
)


def a_task(name: str, *, age: int = 0, needs: str = "", **more: Any) -> Waiting:
    """A waiting task that was dropped *age* seconds ago and depends on the tasks named in *needs*."""
    return Waiting(
        id=TaskId(f"task-{name}"),
        dropped_at=NOW - timedelta(seconds=age),
        depends_on=tuple(TaskId(f"task-{other}") for other in needs.split()),
        **more,
    )


def states(**known: TaskState) -> StateOf:
    return {TaskId(f"task-{name}"): state for name, state in known.items()}.get


def next_id(*waiting: Waiting, state_of: StateOf = states()) -> str | None:  # noqa: B008 - a pure function
    found = next_task(waiting, state_of=state_of)
    return found.task.id if found else None


def next_task(waiting: Iterable[Waiting], *, state_of: StateOf) -> Next | None:
    return Backlog(waiting).next(now=NOW, state_of=state_of)


def next_due(waiting: Iterable[Waiting], now: datetime) -> datetime | None:
    backlog = Backlog(waiting)
    backlog.next(now=now, state_of=states())
    return backlog.next_due(now)


def reasons(*waiting: Waiting, state_of: StateOf = states(), running: int = 0) -> Mapping[TaskId, str]:  # noqa: B008
    told = reasons_for(waiting, now=NOW, state_of=state_of, running=running)
    return {task.id: why for task, why in told}


def reason(task: Waiting, **known: TaskState) -> str:
    return reasons(task, state_of=states(**known))[task.id]


def test_nothing_waits_for_nothing() -> None:
    assert next_id() is None
    assert next_due([], NOW) is None
    assert reasons() == {}


def test_priority_goes_before_age_and_age_before_name() -> None:
    high, old, young, twin = (
        a_task("z", priority=9),
        a_task("y", age=9),
        a_task("b", age=1),
        a_task("c", age=1),
    )

    assert next_id(twin, young, old, high) == "task-z"
    assert next_id(twin, young, old) == "task-y"
    assert next_id(twin, young) == "task-b"


def test_with_ageing_a_level_of_priority_is_worth_a_time_of_waiting() -> None:
    """Half an hour a level: what waits for 90 minutes goes before what came now and is two levels higher."""
    half_an_hour = timedelta(minutes=30)
    old, low, high = (
        a_task("old", age=90 * 60, priority=4, ageing=half_an_hour),
        a_task("low", priority=6, ageing=half_an_hour),
        a_task("high", priority=8, ageing=half_an_hour),
    )

    assert [task.id for task in Backlog([low, high, old])] == ["task-high", "task-old", "task-low"]
    assert next_id(old, low) == "task-old"
    assert [task.id for task in Backlog([replace(each, ageing=None) for each in (low, high, old)])] == [
        "task-high",
        "task-low",
        "task-old",
    ]


def test_a_task_does_not_age_before_it_may_start() -> None:
    """Dropped days ago for today, it has waited for an hour."""
    an_hour = timedelta(hours=1)
    booked = a_task("booked", age=3 * 86_400, not_before=NOW - an_hour, ageing=an_hour)
    waiting = a_task("waiting", age=2 * 3600, ageing=an_hour)

    assert next_id(booked, waiting) == "task-waiting"
    assert next_id(booked, a_task("new", age=60, ageing=an_hour)) == "task-booked"


@given(st.lists(st.integers(2, 10), min_size=30, max_size=60))
def test_with_ageing_nothing_starves(priorities: list[int]) -> None:
    """A task of the lowest priority runs after a bounded time, whatever is dropped after it."""
    ageing, now = timedelta(seconds=2), NOW
    backlog = Backlog([a_task("lowest", priority=1, ageing=ageing)])
    run: list[str] = []
    for number, priority in enumerate(priorities):
        backlog.put(replace(a_task(f"{number}", priority=priority, ageing=ageing), dropped_at=now))
        found = backlog.next(now=now, state_of=states())
        assert found is not None
        backlog.discard(found.task.id)
        run.append(found.task.id)
        now += timedelta(seconds=1)

    assert "task-lowest" in run[:20]  # 9 levels of 2 seconds


def test_a_delayed_task_lets_others_pass_until_its_time() -> None:
    delayed = a_task("a", priority=9, not_before=NOW + timedelta(seconds=1))

    assert next_id(delayed, a_task("b")) == "task-b"
    assert next_id(delayed) is None
    assert next_id(a_task("c", not_before=NOW)) == "task-c"


def test_a_task_waits_for_its_own_time_and_for_its_next_try() -> None:
    """Whichever is later."""
    soon, later = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)

    assert delayed_until(a_task("a", not_before=soon, next_try=Delay(NOW, later)), NOW) == later
    assert delayed_until(a_task("a", not_before=later, next_try=Delay(NOW, soon)), NOW) == later
    assert next_id(a_task("a", next_try=Delay(NOW, soon))) is None
    assert next_due([a_task("a", next_try=Delay(NOW, soon)), a_task("b", not_before=later)], NOW) == soon


def test_a_clock_set_back_delays_no_next_try() -> None:
    """The task's own time is a person's wish and stays what it was."""
    tomorrow = NOW + timedelta(days=1)
    given_tomorrow = Delay(tomorrow, tomorrow + timedelta(hours=1))
    again, asked_for = a_task("a", next_try=given_tomorrow), a_task("b", not_before=tomorrow)

    assert next_id(again) == "task-a"
    assert reason(again) == "next"
    assert next_id(asked_for) is None


def test_the_next_due_time_is_the_earliest_that_is_still_to_come() -> None:
    soon, later = NOW + timedelta(seconds=5), NOW + timedelta(days=1)
    waiting = [
        a_task("a", not_before=later),
        a_task("b", not_before=soon),
        a_task("c", not_before=NOW),
        a_task("d"),
    ]

    assert next_due(waiting, NOW) == soon
    assert next_due(waiting, later) is None


def test_dependencies_must_be_completed() -> None:
    task = a_task("a", needs="x y")

    assert next_id(task, state_of=states(x=COMPLETED, y=COMPLETED)) == "task-a"
    for state in (PENDING, RUNNING, FAILED):
        assert next_id(task, state_of=states(x=COMPLETED, y=state)) is None
    assert next_id(task, state_of=states(x=COMPLETED)) is None


def test_a_failed_dependency_blocks_fails_or_does_not_matter() -> None:
    failed = states(x=FAILED)
    block, fail, run = (
        a_task("a", needs="x", on_dependency_failure=policy) for policy in ("block", "fail", "run")
    )

    assert next_task([block], state_of=failed) is None
    assert next_task([fail], state_of=failed) == DependencyFailed(fail, "it depends on task-x, which failed")
    assert next_task([run], state_of=failed) == Ready(run)


def test_a_doomed_task_need_not_wait_for_its_other_dependencies() -> None:
    fail = a_task("a", needs="y x", on_dependency_failure="fail")

    assert isinstance(next_task([fail], state_of=states(x=FAILED, y=PENDING)), DependencyFailed)


def test_every_reason_reads_as_a_sentence_for_people() -> None:
    until = NOW + timedelta(minutes=5)

    assert reason(a_task("a")) == "next"
    assert reason(a_task("a", not_before=until)) == f"delayed until {until.astimezone():%Y-%m-%d %H:%M:%S}"
    assert reason(a_task("a", needs="x"), x=FAILED) == "blocked by task-x (failed)"
    assert reason(a_task("a", needs="y x"), x=FAILED, y=PENDING) == "blocked by task-x (failed)"
    assert reason(a_task("a", needs="x y"), x=COMPLETED, y=RUNNING) == "waits for task-y"
    assert reason(a_task("a", needs="typo")) == "waits for task-typo (there is no such task)"
    assert reason(a_task("a", needs="x", on_dependency_failure="fail"), x=FAILED) == (
        "will fail: it depends on task-x, which failed"
    )


def test_only_what_could_run_counts_as_ahead() -> None:
    held = a_task("held", age=9, needs="x")
    first, second, third = a_task("a", age=3), a_task("b", age=2), a_task("c", age=1)

    assert list(reasons(third, held, first, second, state_of=states(x=PENDING)).items()) == [
        ("task-held", "waits for task-x"),
        ("task-a", "next"),
        ("task-b", "behind 1 other"),
        ("task-c", "behind 2 others"),
    ]
    assert reasons(first, running=1) == {"task-a": "behind 1 other"}


def test_what_a_document_says_reaches_the_order() -> None:
    task = Task(TaskId("task-a"), "A", "body", {"priority": 7, "not_before": NOW}, "0" * 64)
    later = Delay(NOW, NOW + timedelta(hours=1))

    waiting = waiting_for(
        task, resolve({"priority": 2}, task.given), dropped_at=NOW, history=History(next_try=later)
    )

    assert (waiting.id, waiting.title, waiting.priority, waiting.not_before) == ("task-a", "A", 7, NOW)
    assert delayed_until(waiting, NOW) == later.until


NAMES = st.sampled_from("abcdef")


@given(
    st.lists(
        st.builds(
            lambda name, needs, age, priority, policy, delay: a_task(
                name,
                needs=" ".join(needs),
                age=age,
                priority=priority,
                on_dependency_failure=policy,
                not_before=None if delay is None else NOW + timedelta(seconds=delay),
            ),
            NAMES,
            st.lists(NAMES, max_size=3),
            st.integers(0, 3),
            st.integers(4, 6),
            st.sampled_from(["block", "fail", "run"]),
            st.none() | st.integers(-1, 1),
        ),
        unique_by=lambda task: task.id,
        max_size=6,
    ),
    st.dictionaries(NAMES, st.sampled_from([COMPLETED, FAILED, RUNNING])),
)
def test_the_one_pass_and_the_listing_agree(waiting: list[Waiting], others: dict[str, TaskState]) -> None:
    """What is told to be next is what would be claimed, and every waiting task has a reason."""
    known = {TaskId(f"task-{name}"): state for name, state in others.items()}
    known |= {task.id: PENDING for task in waiting}
    found = next_task(waiting, state_of=known.get)
    told = reasons(*waiting, state_of=known.get)

    assert told.keys() == {task.id for task in waiting}
    candidates = [i for i, why in told.items() if why == "next" or why.startswith("will fail")]
    if found is None:
        assert not candidates
    else:
        assert found.task.id in candidates


def test_a_hundred_thousand_waiting_tasks_are_no_burden() -> None:
    """To build the backlog is the only walk; the bounds are generous because machines differ."""
    waiting = [a_task(f"{n:06}", age=n % 5000, needs="x" if n % 3 == 0 else "") for n in range(100_000)]
    random.Random(1).shuffle(waiting)
    began = time.thread_time()
    next_id(*waiting, state_of=states(x=PENDING))
    claimed = time.thread_time()
    reasons(*waiting, state_of=states(x=PENDING))
    listed = time.thread_time()

    assert claimed - began < 2
    assert listed - claimed < 10


def test_only_a_person_frees_what_is_blocked_or_lacks_something() -> None:
    """Whatever else holds them; what only waits, will fail or does not mind is not among them."""
    waiting = (
        a_task("blocked", needs="failed"),
        a_task("late", needs="failed", not_before=NOW + timedelta(days=9), priority=9),
        a_task("two", needs="unknown failed"),
        a_task("lacking", needs="unknown", lacks="executor 'x' is not configured"),
        a_task("doomed", needs="failed", on_dependency_failure=OnDependencyFailure.FAIL),
        a_task("careless", needs="failed", on_dependency_failure=OnDependencyFailure.RUN),
        a_task("waits", needs="blocked"),
        a_task("unknown", needs="nowhere"),
        a_task("ready", needs="done"),
        a_task("free"),
    )
    known = {
        **dict.fromkeys(("unknown", "blocked"), PENDING),
        "failed": FAILED,
        "done": COMPLETED,
    }

    stuck = stuck_in(waiting, state_of=states(**known))

    assert [(task.id, why) for task, why in stuck] == [
        ("task-late", "is blocked by task-failed (failed)"),
        ("task-blocked", "is blocked by task-failed (failed)"),
        ("task-lacking", "waits: executor 'x' is not configured"),
        ("task-two", "is blocked by task-failed (failed)"),
        ("task-unknown", "waits for task-nowhere (there is no such task)"),
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdefxy"), st.booleans()), max_size=12)
)
def test_what_is_stuck_is_what_the_reasons_call_so(drawn: list[tuple[str, str, bool]]) -> None:
    """Of tasks without a delay, which comes before a failure in their reason."""
    tasks = {name: a_task(name, needs=needed if given else "") for name, needed, given in drawn}
    state_of = states(**dict.fromkeys(tasks, PENDING), x=FAILED)

    reasons_told = reasons(*tasks.values(), state_of=state_of)
    stuck = stuck_in(tasks.values(), state_of=state_of)
    assert {task.id: why for task, why in stuck} == {
        task_id: f"is {why}" if why.startswith("blocked") else why
        for task_id, why in reasons_told.items()
        if why.startswith("blocked") or why.endswith("(there is no such task)")
    }


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 120)), unique=True, max_size=9))
def test_numbers_in_names_count_as_numbers(names: list[tuple[int, int]]) -> None:
    """Of tasks that are equal otherwise; whether all are sorted or the next one is asked for again and again."""
    tasks = [a_task(f"{letter}-{number}-{'x' * (number % 3)}") for letter, number in names]
    expected = [f"task-{letter}-{number}-{'x' * (number % 3)}" for letter, number in sorted(names)]
    backlog = Backlog(tasks)
    run: list[str] = []
    while found := backlog.next(now=NOW, state_of=states()):
        run.append(found.task.id)
        backlog.discard(found.task.id)

    assert [task.id for task, _ in reasons_for(tasks, now=NOW, state_of=states())] == expected
    assert [task.id for task in Backlog(tasks)] == expected
    assert run == expected
