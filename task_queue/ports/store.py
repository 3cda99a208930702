"""The seams to tasks at rest: one source's queue, and what a daemon notes for its successor."""

from __future__ import annotations

from typing import Protocol

from task_queue.domain.model import Claim
from task_queue.domain.task import TaskId
from task_queue.ports.attempt_log import AttemptLog
from task_queue.ports.queue import Queue
from task_queue.ports.requests import Requests
from task_queue.ports.snapshot import Snapshot


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


class ServedEngine(Engine, Protocol):
    """One of a folder that is watched. ``touch``, ``arrived``, ``moved`` and ``is_empty`` are for any thread."""

    def touch(self, name: str | None = None) -> None:
        """Anything, or the file called *name*, may have changed."""
        ...

    def arrived(self, name: str) -> None:
        """The document *name* is there, and whole."""
        ...

    def moved(self, task_id: TaskId) -> bool:
        """The state of *task_id*, of whichever source, may be another; whether that can concern a task here."""
        ...

    def is_empty(self) -> bool:
        """Whether nothing is there to look at."""
        ...

    def close(self) -> None:
        """Let others serve it."""
        ...


class Notes(Protocol):
    """What a daemon leaves its successor about the claims of one source, where no task looks."""

    def claimed(self, claim: Claim) -> None: ...

    def over(self, claim: Claim) -> None:
        """Nothing is in hand under its number any more."""
        ...

    def confirm(self, claim: Claim) -> bool | None:
        """Whether it is the one that was noted under its number; None if none was."""
        ...
