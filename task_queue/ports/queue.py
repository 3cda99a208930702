"""The seam to the tasks of one source that are claimed: who works on which, and how they leave the queue."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from task_queue.domain.model import Claim, Journal, Result
from task_queue.domain.task import Task, TaskId


class Queue(Protocol):
    """Arbitrates who works on which task. Safe to call from several processes.

    Every method may raise EngineUnavailable when the source cannot be read or written.
    """

    def claim(self, task_id: TaskId, *, worker: str, now: datetime) -> Claim:
        """Take the waiting task whose document is called *task_id*; raises ClaimHeld if that is not possible."""
        ...

    def token_of(self, claim: Claim) -> str:
        """What ``claim.proof`` was made from: known to the process that claimed, and to none after it."""
        ...

    def task(self, claim: Claim) -> Task:
        """The claimed document as it was at the claim; raises TaskFileError if it is not a valid task."""
        ...

    def journal(self, claim: Claim) -> Journal: ...

    def arrived_at(self, claim: Claim) -> datetime | None:
        """Since when the claimed document is there as it is; None if it is not, or not as it was claimed."""
        ...

    def claims(self) -> tuple[Claim, ...]:
        """Every claim of the source, whichever worker holds it."""
        ...

    def claims_to_stop(self) -> tuple[Claim, ...]:
        """The same of a source that cannot be used now, but that no other daemon serves: what runs may be stopped."""
        ...

    def settle(self, claim: Claim, result: Result, report: str = "") -> str | None:
        """Record *result* and its *report* and move the task to its final place (``result.state``).

        Returns the name of the file that keeps a newer text of the document, None if it was not edited.

        Idempotent. Raises ClaimLost if *claim* does not stand any more.
        """
        ...

    def release(self, claim: Claim, journal: Journal) -> str | None:
        """Give the task back to pending with its history; returns as ``settle``. Idempotent; raises ClaimLost."""
        ...
