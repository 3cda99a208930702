"""Which tasks closed a cycle of dependencies: by the definition, whatever came before, and at a small cost."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from task_queue.domain.document.cycles import Cycles
from task_queue.domain.task import TaskId, TaskState
from tests.counting import counting

SOURCES = ("a", "b")
NAMES = st.sampled_from([TaskId(f"task-{letter}") for letter in "stuvwx"])
Node = tuple[str, TaskId]


class Graphs(RuleBasedStateMachine):
    """Tasks come, are edited and go, in any order of their times, under names that may be taken in another source."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[Node, tuple[tuple[TaskId, ...], int]] = {}
        self.ended: set[TaskId] = set()
        """In the first source."""
        self.cycles = Cycles(self.place_of)

    def place_of(self, task_id: TaskId) -> tuple[str, TaskState] | None:
        for source in SOURCES:
            if (source, task_id) in self.waiting:
                return source, TaskState.PENDING
            if source == SOURCES[0] and task_id in self.ended:
                return source, TaskState.COMPLETED
        return None

    @rule(
        source=st.sampled_from(SOURCES),
        name=NAMES,
        needs=st.lists(NAMES, min_size=1, max_size=3, unique=True).map(tuple),
        changed=st.integers(0, 30),
    )
    def put(self, source: str, name: TaskId, needs: tuple[TaskId, ...], changed: int) -> None:
        self.waiting[source, name] = needs, changed
        self.cycles.put(source, name, needs, changed)

    @rule(source=st.sampled_from(SOURCES), name=NAMES)
    def discard(self, source: str, name: TaskId) -> None:
        self.waiting.pop((source, name), None)
        self.cycles.discard(source, name)

    @rule()
    def retire(self) -> None:
        self.waiting = {node: known for node, known in self.waiting.items() if node[0] != SOURCES[1]}
        self.cycles.discard_all(SOURCES[1])

    @rule(name=NAMES)
    def end_elsewhere(self, name: TaskId) -> None:
        """What waits under that name comes later, or is looked at again."""
        waiting = [(node, known) for node, known in self.waiting.items() if node[1] == name]
        for source, _ in (node for node, _ in waiting):
            self.discard(source, name)
        self.ended.add(name)
        for (source, _), (needs, changed) in waiting:
            self.put(source, name, needs, changed)

    @rule(name=NAMES)
    def remove_record(self, name: TaskId) -> None:
        self.ended.discard(name)

    @invariant()
    def agrees_with_the_definition(self) -> None:
        found = self.cycles.closing()

        assert {(source, task_id) for source, ids in found.items() for task_id in ids} == self.by_definition()

    def by_definition(self) -> set[Node]:
        """One after the other, by their times: each that leads to itself through those before is out."""
        real = [node for node in self.waiting if self.place_of(node[1]) == (node[0], TaskState.PENDING)]
        accepted: dict[TaskId, tuple[TaskId, ...]] = {}
        closing: set[Node] = set()
        for node in sorted(real, key=lambda node: (self.waiting[node][1], node)):
            needs = self.waiting[node][0]
            reached: set[TaskId] = set()
            todo = list(needs)
            while todo:
                name = todo.pop()
                if name not in reached:
                    reached.add(name)
                    todo += accepted.get(name, ())
            if node[1] in reached:
                closing.add(node)
            else:
                accepted[node[1]] = needs
        return closing


TestGraphs = Graphs.TestCase
TestGraphs.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)

Shape = Callable[[int], list[tuple[int, list[int]]]]


def in_order(size: int) -> list[tuple[int, list[int]]]:
    return [(number, [number - 1]) for number in range(size)]


def reversed_order(size: int) -> list[tuple[int, list[int]]]:
    return in_order(size)[::-1]


def shuffled(size: int) -> list[tuple[int, list[int]]]:
    tasks = in_order(size)
    random.Random(1).shuffle(tasks)
    return tasks


def layers(size: int) -> list[tuple[int, list[int]]]:
    """In each layer a hundred tasks, each after three of the layer before."""
    dice = random.Random(1)
    return [(n, [n - 100 + dice.randrange(-(n % 100), 100 - n % 100) for _ in range(3)]) for n in range(size)]


def hub(size: int) -> list[tuple[int, list[int]]]:
    """Half depends on one task, which depends on some of the others."""
    half = size // 2
    return [(n, [half]) for n in range(half)] + [(half, [*range(half + 1, half + 500)])]


def pairs(size: int) -> list[tuple[int, list[int]]]:
    """Each two depend on each other."""
    return [(number, [number ^ 1]) for number in range(size)]


@pytest.mark.parametrize("shape", [in_order, reversed_order, shuffled, layers, hub, pairs])
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "at once"])
def test_a_graph_of_10_000_costs_ten_times_one_of_1_000(shape: Shape, at_once: bool) -> None:
    """And a little more: of two ways the shorter one is followed, which is at most half of what is there."""
    small, large = steps(shape(1_000), at_once=at_once), steps(shape(10_000), at_once=at_once)

    assert large < 16 * small, (small, large)


def steps(tasks: Sequence[tuple[int, list[int]]], *, at_once: bool) -> int:
    cycles = Cycles(lambda _: ("a", TaskState.PENDING))
    with counting() as (calls, _):
        for changed, (number, needs) in enumerate(tasks):
            cycles.put(
                "a", TaskId(f"task-{number}"), tuple(TaskId(f"task-{need}") for need in needs), changed
            )
            if not at_once:
                for closed in cycles.closing().get("a", {}):
                    cycles.discard("a", closed)  # rejected
        found = cycles.closing()
    assert bool(found) == (at_once and tasks[1][1] == [0] and tasks[0][1] == [1])
    return calls.total()


def test_a_ring_of_10_000_is_one_rejection_and_its_reason_is_short() -> None:
    cycles = Cycles(lambda _: ("a", TaskState.PENDING))
    for number in range(10_000):
        cycles.put("a", TaskId(f"task-{number}"), (TaskId(f"task-{(number + 1) % 10_000}"),), number)

    ((task_id, why),) = cycles.closing()["a"].items()

    assert task_id == "task-9999"
    assert why == (
        "depends_on closes a cycle: task-9999 -> task-0 -> task-1 -> task-2 -> task-3 -> task-4 -> 9994 more ->"
        " task-9999; correct one of these, then: task-queue tasks retry task-9999"
    )


def test_a_task_that_depends_on_itself_is_a_cycle() -> None:
    cycles = Cycles(lambda _: ("a", TaskState.PENDING))
    cycles.put("a", TaskId("task-a"), (TaskId("task-a"),), 1)

    assert "task-a -> task-a;" in cycles.closing()["a"][TaskId("task-a")]
