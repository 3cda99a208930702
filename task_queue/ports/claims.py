"""The seam to workers out of sight: they claim tasks, show signs of life, and say how an attempt ended.

A claim is known by an id that only its worker has, and by its epoch, the number of the attempt. Both come with every
call; the name of the worker alone is never enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from task_queue.domain.claim_keys import KeptKey
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.lease import Directive, LeaseTerms, Refusal
from task_queue.domain.model import Claim, Outcome, Work
from task_queue.domain.task import TaskId


class ClaimRefusedError(TaskQueueError):
    """What a worker says of a claim does not count. ``state`` is that of the task."""

    def __init__(self, refusal: Refusal, message: str, *, state: str) -> None:
        super().__init__(message)
        self.refusal, self.state = refusal, state


class UnknownClaimError(TaskQueueError):
    """No claim ever had that id."""


class ReportFaultError(TaskQueueError):
    """What a worker reports does not fit together; ``field`` is at fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class FramesMissingError(TaskQueueError):
    """Frames were sent that do not follow those that are there: ``offset`` is how many there are."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"{offset} lines are there, and those between are missing")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class ClaimWish:
    """What a worker would carry out."""

    terms: LeaseTerms
    sources: tuple[str, ...] | None = None
    """Of these only; None: of every source that workers serve. So with the next ones."""
    types: tuple[str, ...] | None = None
    executors: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] = ()
    """What it has."""
    allows: Callable[[str, Waiting], bool] = lambda _source, _task: True
    """Whether the policy of who asks allows that task of that source.

    It depends on nothing but what ``domain.document.backlog`` groups tasks by.
    """
    fetches: Callable[[str], bool] = lambda _source: True
    """Whether it can and may fetch the repository of that source. Asked of a source only where a task of it fits."""
    key: str | None = None
    """While a claim is live that the same worker got under the same key, it gets that one again."""

    def fits(self, source: str, task: Waiting) -> bool:
        return (
            (self.types is None or task.type in self.types)
            and (self.executors is None or task.executor in self.executors)
            and all(each in self.capabilities for each in task.capabilities)
            and self.allows(source, task)
            and self.fetches(source)
        )


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """All that a worker needs to carry out an attempt."""

    task_id: TaskId
    attempt: int
    session_id: str
    document: str
    """Markdown; its front matter holds the settings that are in force for the task."""
    repository: str | None
    """Where it comes from; None where the source names none."""
    base_commit: str | None
    """On which the work begins; None where the tasks of the source work in no repository."""
    branch: str
    """How the queue names the task's branch."""
    target: str | None
    """The branch into which it is merged."""
    allowance_usd: float | None = None
    """What is set aside for the attempt, which is also the document's ``max_budget_usd``; None: no bound."""


@dataclass(frozen=True, slots=True)
class KeyedOrder:
    """Kept beside an attempt that was asked for under a key: what its worker gets when it asks again."""

    key: KeptKey
    order: WorkOrder
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class GivenClaim:
    """A claim that was handed out."""

    id: str
    source: str
    task_id: TaskId
    epoch: int
    lease_expires_at: datetime
    order: WorkOrder


@dataclass(frozen=True, slots=True)
class ToldProgress:
    """How far a worker says that it has come."""

    percent: float | None = None
    step: str | None = None
    turns: int | None = None
    cost_usd: float | None = None
    last_frame_at: datetime | None = None
    """When its agent last said anything: a worker may tick while its agent is stuck."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer to a sign of life."""

    lease_expires_at: datetime
    directive: Directive


@dataclass(frozen=True, slots=True)
class HandedInBundle:
    """Commits that a worker hands in with its report."""

    bundle: str
    """Name of the artifact that holds them."""
    tip: str
    base_commit: str


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """How a worker says that an attempt ended. Kept beside the attempt; the first one stands."""

    outcome: Outcome
    work: Work
    reported_at: datetime
    handed_in: HandedInBundle | None = None
    token: str = ""
    """Of the claim, which signs the ending that follows."""
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """A claim that a worker holds now, for people."""

    source: str
    claim: Claim
    worker: str
    last_seen: datetime
    lease_expires_at: datetime
    progress: ToldProgress = field(default_factory=ToldProgress)
    is_reported: bool = False
    """Its worker has said how it ended, and that is being settled."""


class Claims(Protocol):
    """Thread-safe. *worker* is who speaks, None for the owner of the queue, who may speak for each.

    Methods that take an id raise UnknownClaimError, ClaimRefusedError and EngineUnavailable.
    """

    def claim(self, wish: ClaimWish) -> GivenClaim | None:
        """The first task in order that fits and may start; None if there is none now. Nothing is given twice.

        Where the key of *wish* leads to a claim, that one with a lease anew, whatever else *wish* says. Raises
        EngineUnavailable.
        """
        ...

    def heartbeat(self, claim_id: str, *, epoch: int, worker: str | None, progress: ToldProgress) -> Pulse:
        """Renew the lease."""
        ...

    def frames(
        self, claim_id: str, *, epoch: int, worker: str | None, offset: int, lines: Sequence[str]
    ) -> int:
        """Add *lines* to the attempt's transcript after the first *offset*; how many it holds then.

        What is there already stays as it is. Raises FramesMissingError where lines between are missing.
        """
        ...

    def report(self, claim_id: str, *, epoch: int, worker: str | None, report: WorkerReport) -> bool:
        """How the attempt ended; False if that was said before. The task is settled when this returns, or soon."""
        ...

    def demand_held(self, claim_id: str, *, epoch: int, worker: str | None) -> tuple[str, TaskId]:
        """The source and the task of a claim that is live, and whose end was not reported."""
        ...

    def task_of(self, claim_id: str) -> tuple[str, TaskId]:
        """The source and the task of a claim, be it live or over."""
        ...

    def held(self) -> tuple[HeldClaim, ...]:
        """Every claim that is in the hands of a worker."""
        ...

    def sweep(self) -> float | None:
        """Act on leases that are over, and on what people asked; in how many seconds to do so again, None: unless
        something changes."""
        ...
