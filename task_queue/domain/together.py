"""Which tasks may run at the same time: how many in one workspace or repository, and none that touch the same files.

Pure: what runs is an argument. A source runs one task at a time by itself; all of this is between sources.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from task_queue.domain.document.ordering import Waiting
from task_queue.domain.holds import Held, Hold
from task_queue.domain.path_patterns import may_meet
from task_queue.domain.task import TaskId

NO_REPOSITORY = "/"


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a task works, as far as it matters for others."""

    repository: str
    """The directory that all its working trees share; ``NO_REPOSITORY`` outside of any."""
    directory: str
    """The workspace, links followed."""
    in_place: bool
    """It works in that directory, and not in a checkout of its own."""
    touches: tuple[str, ...] = ()
    """Patterns of files that it changes, as ``path_patterns.rooted`` gives them, from the top of the repository."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A task that runs."""

    source: str
    task_id: TaskId
    at: Workplace


@dataclass(frozen=True, slots=True)
class Caps:
    """How many tasks may run at once; None: as many as there are places."""

    per_workspace: int | None = None
    """In place, in one directory or in others within it."""
    per_repository: int | None = None
    """In whichever of its working trees, and in checkouts of their own."""


@dataclass(frozen=True, slots=True)
class TogetherHold(Hold):
    """Keeps tasks from starting beside those that run, while others of their source may."""

    neighbours: tuple[Neighbour, ...]
    caps: Caps
    place_of: Callable[[Waiting], Workplace]
    unknown: str | None = None
    """A source of which it is not known yet what runs there."""

    def on(self, task: Waiting) -> Held | None:
        if not (task.touches or self.caps != Caps()):
            return None
        if self.unknown is not None:
            return Held(f"what runs in source '{self.unknown}' is not known yet", of_one=True)
        place = self.place_of(task)
        why = self._workspace_full(place) or self._repository_full(place) or self._touched(place)
        return None if why is None else Held(why, of_one=True)

    def _workspace_full(self, place: Workplace) -> str | None:
        most = self.caps.per_workspace
        if most is None or not place.in_place:
            return None
        count = sum(
            other.at.in_place and _overlap(other.at.directory, place.directory) for other in self.neighbours
        )
        if count < most:
            return None
        return f"{_tasks(count)} in {place.directory} already (limits.per_workspace is {most})"

    def _repository_full(self, place: Workplace) -> str | None:
        most = self.caps.per_repository
        if most is None or place.repository == NO_REPOSITORY:
            return None
        count = sum(other.at.repository == place.repository for other in self.neighbours)
        if count < most:
            return None
        return f"{_tasks(count)} in the repository of {place.directory} already (limits.per_repository is {most})"

    def _touched(self, place: Workplace) -> str | None:
        for other in self.neighbours:
            if other.at.repository != place.repository:
                continue
            for pattern in place.touches:
                met = next((each for each in other.at.touches if may_meet(pattern, each)), None)
                if met is not None:
                    return (
                        f"{other.task_id} of source '{other.source}' runs and may touch the same files"
                        f" ({pattern} and {met})"
                    )
        return None


def _overlap(one: str, other: str) -> bool:
    one, other = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return one.startswith(other) or other.startswith(one)


def _tasks(count: int) -> str:
    return "1 task runs" if count == 1 else f"{count} tasks run"
