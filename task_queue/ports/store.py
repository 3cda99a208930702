"""The seams to tasks at rest: one source's queue, and what a daemon notes for its successor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from task_queue.domain.document.ordering import Waiting
from task_queue.domain.model import Claim
from task_queue.domain.task import TaskId
from task_queue.ports.attempt_log import AttemptLog
from task_queue.ports.queue import Queue
from task_queue.ports.requests import Requests


@dataclass(frozen=True, slots=True)
class Survey:
    """One look at a source."""

    waiting: tuple[Waiting, ...] = ()
    """Every task that is complete on disk and not claimed, in no particular order."""
    rejected: tuple[tuple[TaskId, str], ...] = ()
    """Documents that cannot be tasks, with the reason; they are to be claimed and settled as rejected."""
    ignored: tuple[tuple[str, str], ...] = ()
    """File names that are no tasks, with the reason."""
    cancelled: tuple[TaskId, ...] = ()
    """Waiting tasks with a request to cancel."""
    claimed: bool = False
    """Claims lie there. Whoever surveys works on none, so each is to be seen through."""
    look_again_after: float | None = None
    """Seconds until a document that is still being written may be complete."""


class Snapshot(Protocol):
    """What waits in one source. May raise EngineUnavailable when the source cannot be read."""

    def touch(self) -> None:
        """Anything may have changed: the next survey looks at everything again."""
        ...

    def survey(self) -> Survey: ...


class Engine(Snapshot, Protocol):
    """Keeps one source's tasks: a snapshot of what waits, and the ports through which tasks are worked on."""

    @property
    def queue(self) -> Queue: ...

    @property
    def attempts(self) -> AttemptLog: ...

    @property
    def requests(self) -> Requests: ...

    def open(self) -> None:
        """Become the one that serves this source, or make sure of still being it. Idempotent.

        Raises EngineUnavailable.
        """
        ...


class Notes(Protocol):
    """What a daemon tells its successor of the claims of one source, where no task looks."""

    def claimed(self, claim: Claim) -> None: ...

    def over(self, claim: Claim) -> None:
        """Nothing is in hand under its number any more."""
        ...

    def confirm(self, claim: Claim) -> bool | None:
        """Whether it is the one that was noted under its number; None if none was."""
        ...
