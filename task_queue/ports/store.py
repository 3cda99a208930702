"""The seams to tasks at rest: one source's queue, and what a daemon notes for its successor."""

from __future__ import annotations

from typing import Protocol

from task_queue.domain.model import Claim
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


class Notes(Protocol):
    """What a daemon leaves its successor about the claims of one source, where no task looks."""

    def claimed(self, claim: Claim) -> None: ...

    def over(self, claim: Claim) -> None:
        """Nothing is in hand under its number any more."""
        ...

    def confirm(self, claim: Claim) -> bool | None:
        """Whether it is the one that was noted under its number; None if none was."""
        ...
