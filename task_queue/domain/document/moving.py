"""In which order tasks go elsewhere, so that none is parted from what it depends on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from task_queue.domain.task import TaskId


@dataclass(frozen=True, slots=True)
class Movable:
    source: str
    task_id: TaskId
    depends_on: tuple[TaskId, ...] = ()


def dependencies_first(tasks: Iterable[Movable]) -> list[Movable]:
    """As given, but each after those that it depends on; as given where they depend on each other in a circle."""
    given = list(tasks)
    needs: dict[TaskId, set[TaskId]] = {}
    for task in given:
        needs.setdefault(task.task_id, set()).update(task.depends_on)
    try:
        place = {task_id: place for place, task_id in enumerate(TopologicalSorter(needs).static_order())}
    except CycleError:
        return given
    return sorted(given, key=lambda task: place[task.task_id]) if any(needs.values()) else given


def why_it_would_be_parted(
    task: Movable, *, moved: Collection[TaskId], is_left: Callable[[TaskId], bool]
) -> str | None:
    """Why *task* has to stay: *is_left* says whether the place that it would leave has or had a task of that id."""
    left = next((each for each in task.depends_on if each not in moved and is_left(each)), None)
    return None if left is None else f"it depends on {left}, which stays"
