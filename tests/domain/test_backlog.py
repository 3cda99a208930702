"""The backlog finds what a walk over all tasks would find, whatever happened to it before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from task_queue.domain.attempt.account import ModelPause
from task_queue.domain.attempt.retry import Delay
from task_queue.domain.document.backlog import Backlog
from task_queue.domain.document.ordering import (
    AwaitsDependency,
    DependencyFailed,
    Next,
    OnHold,
    Ready,
    Waiting,
    delayed_until,
    place_in_order,
    standing,
)
from task_queue.domain.holds import AgentHold, Held, Hold, ModelHold, ReturnedHold, any_of
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.together import Caps, Neighbour, TogetherHold, Workplace

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
NAMES = st.sampled_from([TaskId(f"task-{letter}") for letter in "abcdef"])
SECONDS = st.integers(-3, 3).map(lambda seconds: timedelta(seconds=seconds))
AGO = st.integers(-3, 0).map(lambda seconds: timedelta(seconds=seconds))
MORE = st.fixed_dictionaries(
    {
        "dropped_at": SECONDS.map(lambda age: NOW - age),
        "priority": st.integers(4, 6),
        "depends_on": st.lists(NAMES, max_size=2, unique=True).map(tuple),
        "on_dependency_failure": st.sampled_from(["block", "fail", "run"]),
        "executor": st.sampled_from(["claude", "make"]),
        "model": st.sampled_from([None, "opus", "sonnet"]),
        "paused": st.integers(0, 2),
        "needs_person": st.sampled_from(["", "", "came back"]),
        "lacks": st.sampled_from(["", "", "no executor"]),
        "workspace": st.sampled_from([None, None, "/w"]),
        "in_place": st.booleans(),
        "touches": st.sampled_from([(), (), ("/src/**",), ("/docs/**", "/*.md"), ("/**",)]),
    }
)
OPUS = ModelPause(NOW, "limit", NOW, is_class=True, sources=("a",))
HOLDS = (
    st.none()
    | st.builds(AgentHold, st.just(Held("held")), st.none() | st.integers(4, 6))
    | st.just(ModelHold(Held("opus held"), "opus", OPUS, "a"))
    | st.builds(
        TogetherHold,
        st.lists(
            st.builds(
                Neighbour,
                st.just("b"),
                st.just(TaskId("task-n")),
                st.builds(
                    Workplace,
                    st.sampled_from(["/", "/r/.git"]),
                    st.sampled_from(["/w", "/r", "/r/sub"]),
                    st.booleans(),
                    st.sampled_from([(), ("/src/x.py",), ("/docs/**",)]),
                ),
            ),
            max_size=2,
        ).map(tuple),
        st.builds(Caps, st.none() | st.integers(1, 2), st.none() | st.integers(1, 2)),
        st.just(lambda task: Workplace("/r/.git", task.workspace or "/r", task.in_place, task.touches)),
        st.none() | st.just("c"),
    )
    | st.just(any_of(ReturnedHold(Held("another first")), AgentHold(Held("held"), 5)))
)


def by_walking(
    tasks: list[Waiting], now: datetime, states: dict[TaskId, TaskState], hold: Hold | None
) -> Next | None:
    """The same by the definition: sort, then take the first of each kind."""
    found: dict[type[Next], Next] = {}
    for task in sorted(tasks, key=place_in_order):
        if delayed_until(task, now) is not None:
            continue
        stands = standing(task, states.get)
        if isinstance(stands, DependencyFailed):
            found.setdefault(DependencyFailed, stands)
        elif stands is None:
            why = hold(task) if hold else None
            one: Next = OnHold(task, why) if why else Ready(task)
            kept = found.setdefault(type(one), one)
            if isinstance(one, OnHold) and one.task.paused < kept.task.paused:
                found[OnHold] = one
    return found.get(DependencyFailed) or found.get(Ready) or found.get(OnHold)


class Backlogs(RuleBasedStateMachine):
    """Tasks come, change and go, states and the clock move; only moves that are told of are known."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog()
        self.tasks: dict[TaskId, Waiting] = {}
        self.states: dict[TaskId, TaskState] = {}
        self.now = NOW
        self.was_set_back = False
        self.hold: Hold | None = None
        self.ageing: timedelta | None = None
        self.told: dict[TaskId, str] = {}
        """Why a task is stuck, as it was reported last."""

    @rule(name=NAMES, delays=st.tuples(st.none() | SECONDS, st.none() | st.tuples(AGO, SECONDS)), more=MORE)
    def put(self, name: TaskId, delays: Any, more: dict[str, Any]) -> None:
        own, tried = delays
        self.tasks[name] = Waiting(
            name,
            not_before=None if own is None else self.now + own,
            next_try=None if tried is None else Delay(self.now + tried[0], self.now + tried[1]),
            ageing=self.ageing,
            **more,
        )
        self.backlog.put(self.tasks[name])

    @rule(name=NAMES)
    def discard(self, name: TaskId) -> None:
        self.tasks.pop(name, None)
        self.told.pop(name, None)
        self.backlog.discard(name)

    @rule(name=NAMES, state=st.sampled_from([None, *TaskState]))
    def move(self, name: TaskId, state: TaskState | None) -> None:
        if state is None:
            self.states.pop(name, None)
        else:
            self.states[name] = state
        self.backlog.moved(TaskId(f"{name}.2"))  # a record's number changes nothing

    @rule(by=SECONDS)
    def tick(self, by: timedelta) -> None:
        self.now += by
        self.was_set_back = self.was_set_back or by < timedelta()

    @rule(ageing=st.sampled_from([None, timedelta(seconds=1), timedelta(seconds=2)]))
    def configure(self, ageing: timedelta | None) -> None:
        self.ageing = ageing
        for task in list(self.tasks.values()):
            self.tasks[task.id] = replace(task, ageing=ageing)
            self.backlog.put(self.tasks[task.id])

    @rule(hold=HOLDS)
    def hold_back(self, hold: Hold | None) -> None:
        self.hold = hold

    @invariant()
    def finds_the_next(self) -> None:
        found = self.backlog.next(now=self.now, state_of=self.states.get, screen=self.hold)

        assert found == by_walking(list(self.tasks.values()), self.now, self.states, self.hold)
        times = [delayed_until(task, self.now) for task in self.tasks.values()]
        if not self.was_set_back:  # else a delay may come back to a task that has to wait for another anyway
            assert self.backlog.next_due(self.now) == min((time for time in times if time), default=None)
            alone = [
                (time, task.id)
                for task, time in zip(self.tasks.values(), times, strict=True)
                if time and not isinstance(standing(task, self.states.get), AwaitsDependency)
            ]
            first = self.backlog.first_delayed(self.now)
            assert (first and (first[1], first[0].id)) == min(alone, default=None)
        stuck = {
            task.id: stands.reason
            for task, time in zip(self.tasks.values(), times, strict=True)
            if isinstance(stands := standing(task, self.states.get), AwaitsDependency)
            and stands.needs_person
            and not stands.is_missing
            and (time is None or self.was_set_back)
        }
        newly = {task.id: why for task, why in self.backlog.newly_stuck()}
        self.told |= newly
        if not self.was_set_back:
            assert newly.items() <= stuck.items()
            assert stuck.items() <= self.told.items()
        heads = self.backlog.heads()
        assert found is None or found.task in heads
        assert set(heads) <= set(self.tasks.values())
        assert list(self.backlog) == sorted(self.tasks.values(), key=place_in_order)
        needed = {need for task in self.tasks.values() for need in task.depends_on}
        assert all(self.backlog.depends_on(need) for need in needed)


TestBacklogs = Backlogs.TestCase
TestBacklogs.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
