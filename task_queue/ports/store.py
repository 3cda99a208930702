"""The seams to tasks at rest: one source's queue, and what a daemon notes for its successor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from task_queue.domain.model import Claim, Ending, Journal, Result, RunRecord
from task_queue.domain.task import Task, TaskId
from task_queue.ports.snapshot import Snapshot


class Engine(Snapshot, Protocol):
    """Keeps one source's tasks and arbitrates who works on which. Safe to call from several processes.

    Every method may raise EngineUnavailable when the source cannot be read or written.
    """

    def open(self) -> None:
        """Become the one that serves this source, or make sure of still being it. Idempotent."""
        ...

    def claim(self, task_id: TaskId, *, worker: str, now: datetime) -> Claim:
        """Take the waiting task whose document is called *task_id*; raises ClaimHeld if it is not to be had."""
        ...

    def token_of(self, claim: Claim) -> str:
        """What ``claim.proof`` was made from: known to the process that claimed, and to nobody after it."""
        ...

    def task(self, claim: Claim) -> Task:
        """The claimed document as it was at the claim; raises TaskFileError if it is no valid task."""
        ...

    def journal(self, claim: Claim) -> Journal: ...

    def claims(self) -> tuple[Claim, ...]:
        """Every claim that lies in the source, whoever holds it."""
        ...

    def claims_to_stop(self) -> tuple[Claim, ...]:
        """The same of a source that cannot be used now, but is nobody else's: what runs may be stopped all the same."""
        ...

    def run_of(self, claim: Claim) -> RunRecord | None: ...

    def abandon(self, claim: Claim, *, now: datetime) -> RunRecord:
        """Publish the tombstone unless a runner came first; return the record that stands."""
        ...

    def commit(self, claim: Claim, ending: Ending) -> Ending:
        """Record how the attempt ended; return the ending that stands (an earlier one wins)."""
        ...

    def ending_of(self, claim: Claim) -> Ending | None: ...

    def is_genuine(self, claim: Claim, ending: Ending) -> bool:
        """Whether *ending* is its runner's own or ours, as far as can be told."""
        ...

    def set_ending_aside(self, claim: Claim) -> None:
        """Keep the ending that lies there under another name: it is not what it claims to be."""
        ...

    def cancel_requested(self, claim: Claim) -> bool: ...

    def transcript(self, claim: Claim) -> Iterable[str]:
        """The lines of the attempt's transcript, as far as they were written; none if there is none."""
        ...

    def steps(self, claim: Claim) -> Sequence[str]:
        """The lines of the attempt's finished steps; none if there are none."""
        ...

    def may_have_acted(self, claim: Claim) -> bool:
        """Whether an agent may have worked on the attempt although no run record says so: then it left a
        transcript, or somebody deleted what would tell."""
        ...

    def document_is_gone(self, claim: Claim) -> bool:
        """Somebody deleted the document while the task ran."""
        ...

    def settle(self, claim: Claim, result: Result, report: str = "") -> None:
        """Record *result* and its *report* and move the task to its final place (``result.state``).

        Idempotent. Raises ClaimLost if *claim* is no longer ours.
        """
        ...

    def release(self, claim: Claim, journal: Journal) -> None:
        """Give the task back to pending with its history. Idempotent; raises ClaimLost."""
        ...

    def requeue(self, task_id: TaskId) -> None:
        """A person's retry: an ended task goes back to pending; raises UnknownTaskError."""
        ...

    def request_cancel(self, task_id: TaskId) -> None:
        """Ask that a waiting or running task be cancelled; raises UnknownTaskError."""
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
