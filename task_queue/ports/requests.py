"""The seam to what a person wants of a task that waits, runs or has ended."""

from __future__ import annotations

from typing import Protocol

from task_queue.domain.attempt.retry_wish import NO_WISH, RetryWish
from task_queue.domain.model import Claim
from task_queue.domain.task import TaskId


class Requests(Protocol):
    """Of one source. Every method may raise EngineUnavailable when the source cannot be read or written."""

    def request_cancel(self, task_id: TaskId) -> None:
        """Ask that a waiting or running task be cancelled; raises UnknownTaskError."""
        ...

    def requeue(self, task_id: TaskId, wish: RetryWish = NO_WISH) -> None:
        """A person's retry: an ended task goes back to pending, one that waits for a person goes on.

        Its next attempt is as *wish* says. Raises UnknownTaskError.
        """
        ...

    def cancel_requested(self, claim: Claim) -> bool: ...

    def document_is_gone(self, claim: Claim) -> bool:
        """A person deleted the document while the task ran."""
        ...
