"""The seam to what waits in one source: the read model that the worker and every front end ask.

Apart from the other seams to the store, because reading commands need no more of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from task_queue.domain.document.backlog import Backlog
from task_queue.domain.task import TaskId, TaskState


@dataclass(frozen=True, slots=True)
class Survey:
    """One look at a source."""

    waiting: Backlog = field(default_factory=Backlog)
    """Every task that is complete on disk and not claimed. The next survey of the same snapshot changes it."""
    rejected: tuple[tuple[TaskId, str], ...] = ()
    """Documents that cannot be tasks, with the reason; they are to be claimed and settled as rejected."""
    ignored: tuple[tuple[str, str], ...] = ()
    """File names that are not tasks, with the reason."""
    cancelled: tuple[TaskId, ...] = ()
    """Waiting tasks with a request to cancel."""
    locks: tuple[str, ...] = ()
    """File names of the locks. A worker that surveys works on none, so it first concludes these claims."""
    look_again_after: float | None = None
    """Seconds until a document that is still being written may be complete."""
    unread: tuple[str, ...] = ()
    """File names of documents, where there are too many to read each: nothing else is known of what waits."""

    dropped: tuple[TaskId, ...] = ()
    """Documents that were found complete for the first time since the last survey; not those that were claimed
    before."""

    def has(self, task_id: TaskId) -> bool:
        """Whether the document called *task_id* is there and not claimed."""
        rejected = any(task_id == rejected for rejected, _ in self.rejected)
        return self.waiting.get(task_id) is not None or rejected or task_id in self.cancelled

    @property
    def is_drained(self) -> bool:
        """Nothing waits, and nothing is about to."""
        rest = self.rejected or self.cancelled or self.unread or self.look_again_after is not None
        return not (self.waiting or rest)


class Snapshot(Protocol):
    """The read model of one source: what is there, and what comes next. The worker and every front end ask it.

    Every method may raise EngineUnavailable when the source cannot be read.
    """

    def touch(self) -> None:
        """Anything may have changed: the next survey looks at everything again."""
        ...

    def survey(self) -> Survey: ...

    def changed_ns(self, task_id: TaskId) -> int:
        """When the document called *task_id* was changed last, as the last survey found it; nanoseconds since 1970."""
        ...

    def state_of(self, task_id: TaskId) -> TaskState | None:
        """Where the task that was dropped as *task_id* is, None if this source does not know it.

        Of tasks that were dropped under one name, the last counts.
        """
        ...
