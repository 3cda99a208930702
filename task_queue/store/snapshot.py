"""What comes next in every source, as their files say it now: what front ends ask.

Each source is looked at once, by the code that its worker uses; nothing is kept up to date here. Deliberately
absent: what only a running daemon knows. That comes as ``Holds`` from whom asks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.snapshot import Survey
from task_queue.store.folder import states
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.pending import Pending
from task_queue.store.keyed_tasks import KeyedTasks

if TYPE_CHECKING:
    from task_queue.domain.document.duplicates import Keyed
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
        read_limit: int | None = None,
        source: str = "",
        keyed: KeyedTasks | None = None,
    ) -> None:
        """*keyed* and *source* as for ``Pending``."""
        self._layout = layout
        self._pending = Pending(
            layout.pending, layers=layers, settling=None, read_limit=read_limit, source=source, keyed=keyed
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
        self._looked_at: dict[str, FolderSnapshot] = {}
        self._keyed = KeyedTasks()
        self._surveys: dict[str, Survey] = {}
        self._states: dict[TaskId, TaskState | None] = {}

    def survey(self, source: str) -> Survey:
        """What is in *source*. Raises OSError if its folder cannot be read."""
        if source not in self._surveys:
            snapshot = self._snapshot(source)
            survey = snapshot.survey()
            if self._keyed.has_any(source):
                self._look_at_others(source)
                survey = snapshot.survey()  # with what the others have changed
            self._surveys[source] = survey
        return self._surveys[source]

    def first_with(self, key: str) -> Keyed | None:
        """The task of any source that stays of those with the key *key* (``domain.document.duplicates``)."""
        self._look_at_others("")
        return self._keyed.first_with(key)

    def _snapshot(self, source: str) -> FolderSnapshot:
        if source not in self._looked_at:
            listed = self._sources[source]
            self._looked_at[source] = FolderSnapshot(
                listed.layout,
                listed.layers,
                read_limit=self._read_limit,
                source=source,
                keyed=self._keyed,
            )
        return self._looked_at[source]

    def _look_at_others(self, source: str) -> None:
        """So that each task with a ``dedupe_key`` is known, once."""
        for other in self._sources:
            if other != source and other not in self._looked_at:
                with contextlib.suppress(OSError):  # said where that source is shown
                    self._snapshot(other).survey()

    def state_of(self, task_id: TaskId) -> TaskState | None:
        """The state of a task of whichever source, as every worker sees it."""
        if task_id not in self._states:
            layouts = (source.layout for source in self._sources.values())
            self._states[task_id] = states.state_in(layouts, task_id)
        return self._states[task_id]

    def reasons(
        self, source: str, *, now: datetime, running: int, holds: Holds, also: Iterable[Waiting] = ()
    ) -> list[tuple[Waiting, str]]:
        """What waits in *source*, in the order in which it would run, and why each does. Raises OSError.

        Without tasks that will be rejected or are cancelled: these are in the survey, and ahead of none. *also* is
        looked at as if it were there.
        """
        waiting = (*self.survey(source).waiting, *also)
        from task_queue.domain.document.ordering import reasons_for

        depends = any(task.depends_on for task in waiting)
        everywhere: Mapping[TaskId, Waiting] = self._everywhere if depends else {}
        return list(
            reasons_for(
                waiting,
                now=now,
                state_of=self.state_of,
                running=running,
                holds=holds,
                everywhere=everywhere,
            )
        )

    def stuck(self, source: str) -> list[tuple[Waiting, str]]:
        """What waits in *source* and only a person can free, with why, in the order of ``reasons``. Raises OSError."""
        waiting = self.survey(source).waiting
        if not any(task.may_have_to_stand for task in waiting):
            return []
        from task_queue.domain.document.ordering import stuck_in

        return list(stuck_in(waiting, state_of=self.state_of, everywhere=self._everywhere))

    @cached_property
    def _everywhere(self) -> Mapping[TaskId, Waiting]:
        """What waits in all sources; of tasks with one id the one of the first source, as for ``state_of``."""
        found: dict[TaskId, Waiting] = {}
        for source in self._sources:
            try:
                survey = self.survey(source)
            except OSError:
                continue  # what cannot be read is said where that source is shown
            for task in survey.waiting:
                found.setdefault(task.id, task)
        return found
