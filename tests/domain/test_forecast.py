"""What will run when: places, hours, holds and budgets, by a clock that only the forecast moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from task_queue.domain.document.ordering import Waiting
from task_queue.domain.forecast import Forecast, Outlay, SideBySide, SourceOutlook
from task_queue.domain.holds import AgentHold, Held, Holds, budget_spent
from task_queue.domain.local_time import next_midnight
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.together import Caps, Neighbour, Workplace

NOON = datetime(2026, 2, 7, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def task(name: str, **more: object) -> Waiting:
    return Waiting(TaskId(f"task-{name}"), NOON, **more)  # type: ignore[arg-type]  # a test's own values


def source(name: str, *tasks: Waiting, minutes: int = 10, usd: float = 0.0) -> SourceOutlook:
    return SourceOutlook(name, tasks, outlay_of=lambda _: Outlay(minutes * MINUTE, usd))


def free(_source: str, _at: datetime, _spent: Mapping[str, float]) -> Holds:
    return Holds()


def foreseen(forecast: Forecast) -> list[tuple[str, float]]:
    """Each task and how many minutes from now it starts."""
    return [(str(each.task.id), (each.starts - NOON) / MINUTE) for each in forecast.tasks]


def of(*sources: SourceOutlook, places: int = 9, **more: object) -> Forecast:
    given = {"holds_at": free, "state_in": lambda _source, _task_id: None, **more}
    return Forecast(sources, now=NOON, places=places, **given)  # type: ignore[arg-type]  # a test's own values


def test_a_source_runs_one_after_the_other_and_sources_side_by_side() -> None:
    found = of(source("a", task("1"), task("2")), source("b", task("3"), minutes=5))

    assert foreseen(found) == [("task-1", 0), ("task-3", 0), ("task-2", 10)]
    assert found.empty_at == {"a": NOON + 20 * MINUTE, "b": NOON + 5 * MINUTE}


def test_places_are_shared_and_taken_in_turns() -> None:
    found = of(source("a", task("1"), task("2")), source("b", task("3"), task("4")), places=1)

    assert foreseen(found) == [("task-1", 0), ("task-3", 10), ("task-2", 20), ("task-4", 30)]


def test_what_runs_is_waited_for() -> None:
    running = {TaskId("task-0"): NOON + 3 * MINUTE}
    found = of(replace(source("a", task("1", depends_on=(TaskId("task-0"),))), running=running))

    assert foreseen(found) == [("task-1", 3)]


def test_a_time_and_the_end_of_a_pause_are_waited_for() -> None:
    paused = AgentHold(Held("paused", NOON + 30 * MINUTE))

    def holds(_source: str, at: datetime, _spent: Mapping[str, float]) -> Holds:
        return Holds(agents=paused if at < NOON + 30 * MINUTE else None)

    tasks = (task("1"), task("2", executor="make"), task("3", executor="make", not_before=NOON + 20 * MINUTE))
    assert foreseen(of(source("a", *tasks), holds_at=holds)) == [
        ("task-2", 0),
        ("task-3", 20),
        ("task-1", 30),
    ]


def test_a_source_that_waits_for_a_person_is_not_foreseen() -> None:
    def holds(name: str, _at: datetime, _spent: Mapping[str, float]) -> Holds:
        return Holds("paused") if name == "a" else Holds()

    found = of(source("a", task("1")), source("b", task("2", depends_on=(TaskId("task-1"),))), holds_at=holds)
    assert foreseen(found) == []
    assert found.empty_at == {}


def test_hours_are_waited_for() -> None:
    def holds(_source: str, at: datetime, _spent: Mapping[str, float]) -> Holds:
        return Holds("outside the hours") if at < NOON + 60 * MINUTE else Holds()

    found = of(source("a", task("1")), holds_at=holds, opens_at=lambda _source, _at: NOON + 60 * MINUTE)
    assert foreseen(found) == [("task-1", 60)]


def test_a_budget_that_is_used_up_is_renewed_at_midnight() -> None:
    def holds(_source: str, at: datetime, spent: Mapping[str, float]) -> Holds:
        return Holds(agents=budget_spent(9, now=at) if sum(spent.values()) >= 2 else None)

    found = of(source("a", task("1"), task("2"), task("3"), usd=1.0), holds_at=holds)
    midnight = (next_midnight(NOON) - NOON) / MINUTE
    assert foreseen(found) == [("task-1", 0), ("task-2", 10), ("task-3", midnight)]


def test_what_is_doomed_fails_at_once_and_its_dependents_with_it() -> None:
    doomed = task("1", depends_on=(TaskId("task-0"),), on_dependency_failure="fail")
    after = task("2", depends_on=(TaskId("task-1"),))
    states = {TaskId("task-0"): TaskState.FAILED}

    found = of(source("a", doomed, after), state_in=lambda _, task_id: states.get(task_id))

    assert [(each.task.id, each.is_doomed) for each in found.tasks] == [("task-1", True)]


def test_a_rejected_document_has_failed() -> None:
    after = task("2", depends_on=(TaskId("task-1"),), on_dependency_failure="run")

    assert foreseen(of(replace(source("a", after), failing=(TaskId("task-1"),)))) == [("task-2", 0)]


def at_work(_source: str, task: Waiting) -> Workplace:
    return Workplace("/r/.git", "/r", in_place=task.in_place, touches=task.touches)


@pytest.mark.parametrize(
    "caps", [Caps(per_workspace=1), Caps(per_repository=1)], ids=["workspace", "repository"]
)
def test_a_cap_lets_sources_run_one_after_the_other(caps: Caps) -> None:
    found = of(
        source("a", task("1", in_place=True)),
        source("b", task("2", in_place=True)),
        side_by_side=SideBySide(caps, place_of=at_work),
    )

    assert foreseen(found) == [("task-1", 0), ("task-2", 10)]


def test_what_touches_the_same_files_waits_and_lets_others_pass() -> None:
    found = of(
        source("a", task("1", touches=("src/**",))),
        source("b", task("2", touches=("src/a.py",), priority=9), task("3")),
        side_by_side=SideBySide(place_of=at_work),
    )

    assert foreseen(found) == [("task-1", 0), ("task-3", 0), ("task-2", 10)]


def test_what_runs_already_is_a_neighbour() -> None:
    runs = Neighbour("a", TaskId("task-0"), Workplace("/r/.git", "/r", in_place=True))
    found = of(
        replace(source("a"), running={TaskId("task-0"): NOON + 3 * MINUTE}),
        source("b", task("1", in_place=True)),
        side_by_side=SideBySide(Caps(per_workspace=1), place_of=at_work, neighbours={"a": (runs,)}),
    )

    assert foreseen(found) == [("task-1", 3)]


def test_workers_carry_out_several_tasks_of_a_source_at_once() -> None:
    """Each of them is a neighbour of the next, until it ends itself."""
    place = Workplace("/r/.git", "/r", in_place=False, touches=("src/**",))
    ends = {TaskId("task-0"): NOON + 3 * MINUTE, TaskId("task-00"): NOON + 5 * MINUTE}
    remote = replace(
        source("a", task("1", touches=("src/a.py",)), task("2"), task("3")), running=ends, slots=3
    )

    found = of(
        remote,
        side_by_side=SideBySide(
            place_of=at_work, neighbours={"a": (Neighbour("a", each, place) for each in ends)}
        ),
    )

    assert foreseen(found) == [("task-2", 0), ("task-3", 3), ("task-1", 5)]


def test_starts_are_as_far_apart_as_the_gap() -> None:
    sources = [source(name, task(name)) for name in ("a", "b", "c")]

    found = of(*sources, side_by_side=SideBySide(start_gap=2 * MINUTE))

    assert foreseen(found) == [("task-a", 0), ("task-b", 2), ("task-c", 4)]


def test_ten_thousand_tasks_are_no_matter() -> None:
    """In one line of dependencies over two sources: each end looks at its own dependents alone."""
    names = [f"{number:05}" for number in range(10_000)]
    tasks = [
        task(name, depends_on=(TaskId(f"task-{names[number - 1]}"),) if number else ())
        for number, name in enumerate(names)
    ]

    found = of(source("a", *tasks[::2], minutes=1), source("b", *tasks[1::2], minutes=1))

    assert len(found.tasks) == 10_000
    assert found.tasks[-1].starts == NOON + 9_999 * MINUTE
