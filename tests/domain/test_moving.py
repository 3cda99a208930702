"""Tasks that go elsewhere are not parted from what they depend on."""

from __future__ import annotations

from task_queue.domain.document.moving import Movable, dependencies_first, why_it_would_be_parted
from task_queue.domain.task import TaskId


def movable(name: str, *depends_on: str, source: str = "a") -> Movable:
    return Movable(source, TaskId(name), tuple(map(TaskId, depends_on)))


def test_what_a_task_depends_on_goes_first() -> None:
    """Over all sources; what depends on nothing keeps its place."""
    given = [movable("c", "b", "elsewhere"), movable("x"), movable("b", "a", source="b"), movable("a")]

    order = [task.task_id for task in dependencies_first(given)]
    assert sorted(order) == ["a", "b", "c", "x"]
    assert order.index(TaskId("a")) < order.index(TaskId("b")) < order.index(TaskId("c"))
    assert dependencies_first([movable("y"), movable("x")]) == [movable("y"), movable("x")]


def test_a_circle_is_left_as_it_is() -> None:
    circle = [movable("a", "b"), movable("b", "a")]
    assert dependencies_first(circle) == circle


def test_a_task_stays_with_what_stays() -> None:
    task = movable("b", "a", "unknown")

    assert why_it_would_be_parted(task, moved={TaskId("a")}, is_left=lambda each: each == "a") is None
    assert (
        why_it_would_be_parted(task, moved=(), is_left=lambda each: each == "a")
        == "it depends on a, which stays"
    )
