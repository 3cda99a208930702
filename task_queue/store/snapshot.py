"""What comes next in every source, as their files say it now: what front ends ask.

Each source is looked at once, by the code that its worker uses; nothing is kept up to date here. Deliberately
absent: what only a running daemon knows. That comes as ``Holds`` from whom asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from task_queue.domain.document.cycles import Cycles
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.snapshot import Survey
from task_queue.store.folder import states
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.pending import Pending

if TYPE_CHECKING:
    from task_queue.domain.document.cycles import CyclesOfSource
    from task_queue.domain.document.layers import Layers
    from task_queue.domain.document.ordering import Waiting
    from task_queue.domain.holds import Holds

READ_LIMIT = 500
"""With more files than this in a source no document is read: 100,000 must not make ``status`` slow."""


class FolderSnapshot:
    """Implements ports.store.Snapshot for who only reads one source."""

    def __init__(
        self,
        layout: Layout,
        layers: Callable[[], Layers],
        *,
        cycles: CyclesOfSource | None = None,
        read_limit: int | None = None,
    ) -> None:
        self._layout = layout
        self._pending = Pending(
            layout.pending, layers=layers, settling=None, cycles=cycles, read_limit=read_limit
        )

    def touch(self) -> None:
        self._pending.touch()

    def survey(self) -> Survey:
        """Raises OSError."""
        return self._pending.survey()

    def state_of(self, task_id: TaskId) -> TaskState | None:
        return states.state_of(self._layout, task_id)


@dataclass(frozen=True, slots=True)
class ReadSource:
    """A source as the configuration lists it, in so far as the order of its tasks depends on that."""

    id: str
    layout: Layout
    layers: Callable[[], Layers]


class Snapshots:
    """All sources of one configuration, in its order, at one moment."""

    def __init__(self, sources: Iterable[ReadSource], *, read_limit: int | None = READ_LIMIT) -> None:
        self._sources = {source.id: source for source in sources}
        self._read_limit = read_limit
        self._cycles = Cycles(self._place_of)
        self._snapshots: dict[str, FolderSnapshot] = {}
        self._surveys: dict[str, Survey] = {}
        self._states: dict[TaskId, TaskState | None] = {}

    def survey(self, source: str) -> Survey:
        """What is in *source*. Raises OSError if its folder cannot be read."""
        if source not in self._surveys:
            survey = self._snapshot_of(source).survey()
            if survey.waiting.has_dependants:  # then it depends on all sources whether one is to be rejected
                for other in self._sources:
                    with suppress(OSError):  # what cannot be read is said where that source is shown
                        self._snapshot_of(other).survey()
                survey = self._snapshot_of(source).survey()
            self._surveys[source] = survey
        return self._surveys[source]

    def _snapshot_of(self, source: str) -> FolderSnapshot:
        if source not in self._snapshots:
            listed = self._sources[source]
            cycles = _CyclesOf(self._cycles, source)
            self._snapshots[source] = FolderSnapshot(
                listed.layout, listed.layers, cycles=cycles, read_limit=self._read_limit
            )
        return self._snapshots[source]

    def _place_of(self, task_id: TaskId) -> tuple[str, TaskState] | None:
        return states.place_in({each.id: each.layout for each in self._sources.values()}, task_id)

    def state_of(self, task_id: TaskId) -> TaskState | None:
        """The state of a task of whichever source, as every worker sees it."""
        if task_id not in self._states:
            layouts = (source.layout for source in self._sources.values())
            self._states[task_id] = states.state_in(layouts, task_id)
        return self._states[task_id]

    def state_in(self, source: str, task_id: TaskId) -> TaskState | None:
        """The state of a task of that name in *source* alone."""
        return states.state_of(self._sources[source].layout, task_id)

    def reasons(
        self, source: str, *, now: datetime, running: int, holds: Holds, also: Iterable[Waiting] = ()
    ) -> list[tuple[Waiting, str]]:
        """What waits in *source*, in the order in which it would run, and why each does. Raises OSError.

        Without tasks that will be rejected or are cancelled: these are in the survey, and ahead of none. *also* is
        looked at as if it were there.
        """
        waiting = (*self.survey(source).waiting, *also)
        from task_queue.domain.document.ordering import reasons_for

        return list(reasons_for(waiting, now=now, state_of=self.state_of, running=running, holds=holds))

    def stuck(self, source: str) -> list[tuple[Waiting, str]]:
        """What waits in *source* and only a person can free, with why, in the order of ``reasons``. Raises OSError."""
        waiting = self.survey(source).waiting
        if not any(task.may_have_to_stand for task in waiting):
            return []
        from task_queue.domain.document.ordering import stuck_in

        return list(stuck_in(waiting, state_of=self.state_of))


@dataclass(frozen=True, slots=True)
class _CyclesOf:
    """Implements domain.document.cycles.CyclesOfSource."""

    cycles: Cycles
    source: str

    def put(self, task_id: TaskId, depends_on: tuple[TaskId, ...], changed_ns: int) -> None:
        self.cycles.put(self.source, task_id, depends_on, changed_ns)

    def discard(self, task_id: TaskId) -> None:
        self.cycles.discard(self.source, task_id)

    def closing(self) -> Mapping[TaskId, str]:
        return self.cycles.closing().get(self.source, {})
