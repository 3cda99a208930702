"""The seam to the fleet that this host has joined: other hosts that take part in its sources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from task_queue.domain.attempt.account import Account
from task_queue.domain.document.layers import Layers
from task_queue.domain.model import Result, WorkProduct
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.emit import Emit
from task_queue.ports.store import Notes, ServedEngine


@dataclass(frozen=True, slots=True)
class ShownResult:
    """A result as the host shows it by which its task came in, with its report."""

    result: Result
    report: str


@dataclass(frozen=True, slots=True)
class WorkBase:
    """The commit on which work begins; a git bundle for who has *known* and not that one, None where it is the same."""

    commit: str
    known: str
    bundle: bytes | None


class FleetCheckout(Protocol):
    """Where tasks of a source work on this host. Methods raise GitError, OSError."""

    def base(self, before: WorkBase | None) -> WorkBase | None:
        """What is checked out here; *before* itself while that is so, None without a repository."""
        ...

    def receive_base(self, base: WorkBase) -> None:
        """Have the commit of *base* here. Idempotent. Raises GitError where what it builds on is missing."""
        ...

    def received_base(self) -> str | None:
        """What was received last."""
        ...

    def for_a_guest(self, document: bytes) -> bytes:
        """The *document* of a task of another host, whose work is to stay on a branch here."""
        ...

    def bundle_of(self, task_id: TaskId, product: WorkProduct) -> bytes | None:
        """What a task committed here, as a git bundle; None without commits, or of too many."""
        ...

    def shown(self, result: Result, document: bytes, bundle: bytes | None) -> ShownResult:
        """*result* of another host, once the commits of *bundle* are on the task's branch here. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class FleetSource:
    """A source of this host; ``pending`` is its folder. ``repository``: where other hosts get what it works on."""

    id: str
    pending: Path
    repository: str | None
    layers: Callable[[], Layers]
    settle_s: Callable[[], float]
    notes: Notes
    checkout: FleetCheckout


@dataclass(frozen=True, slots=True)
class SpentEntry:
    """What one attempt cost, in US dollars, ``estimated_usd`` of it by estimate."""

    at: datetime
    source: str
    task_id: str
    attempt: int
    usd: float
    estimated_usd: float


class FleetDaemon(Protocol):
    """What the fleet asks of the daemon of this host. For any thread."""

    def account(self) -> Account:
        """As it stands here."""
        ...

    def take_account(self, account: Account) -> None:
        """It stands so on another host that uses it."""
        ...

    def spent(self) -> Sequence[SpentEntry]:
        """By attempts of this host, since this was asked last, or today where it was not."""
        ...

    def note_spent(self, host: str, entry: SpentEntry) -> None:
        """By an attempt of another *host* that uses the account. Idempotent. Raises OSError."""
        ...

    def wake(self, sources: Collection[str] | None = None) -> None:
        """Let these *sources* look again, or every one."""
        ...

    def hold(self) -> None:
        """End at once what runs, and begin nothing."""
        ...

    def go_on(self) -> None:
        """``hold`` is over."""
        ...

    def is_idle(self) -> bool:
        """Whether nothing is in hand."""
        ...


class Fleet(Protocol):
    @property
    def lease(self) -> Path:
        """A file that says until when runners may run: see ``runner.fence``."""
        ...

    def start(self, daemon: FleetDaemon) -> None:
        """Join, now or as soon as that is possible, and show from then on that this host lives."""
        ...

    def stop(self) -> None: ...

    def engine_of(self, source: FleetSource, emit: Emit) -> ServedEngine:
        """For as long as the source is served here: until it is closed."""
        ...

    def state_of(self, task_id: TaskId) -> TaskState | None:
        """Of a task of any source of any host. Raises EngineUnavailable."""
        ...
