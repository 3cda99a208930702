"""One source of a fleet in the hands of one host: what its parts share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from task_queue.domain.document.layers import Layers
from task_queue.domain.errors import ClaimHeld, ClaimLost, EngineUnavailable
from task_queue.domain.model import Claim
from task_queue.domain.task import TaskId
from task_queue.fleet.database import Cursor, Database


@dataclass(frozen=True, slots=True)
class HostLife:
    """A host since it joined: after it joins again, what it did before does not count."""

    host: str
    life: int


@dataclass
class HeldSource:
    database: Database
    id: str
    owner: HostLife
    slots: Callable[[], int]
    """How many of its tasks run at once, over all hosts."""
    layers: Callable[[], Layers] = Layers
    tokens: dict[tuple[TaskId, int], str] = field(default_factory=dict[tuple[TaskId, int], str])
    """Of the claims that were made here, in memory only."""

    def where(self, claim: Claim) -> dict[str, object]:
        """Of an attempt, for queries."""
        return {"source": self.id, "record": claim.task_id, "number": claim.attempt}

    def token_of(self, claim: Claim) -> str:
        return self.tokens.get((claim.task_id, claim.attempt), "")


def demand_alive(cursor: Cursor, owner: HostLife) -> None:
    """Raises ClaimLost if the host's life is over; nothing ends it before *cursor*'s transaction does."""
    if _drains(cursor, owner) is None:
        raise ClaimLost(_over(owner))


def demand_serving(cursor: Cursor, owner: HostLife) -> None:
    """The same for a host that would begin something: raises EngineUnavailable."""
    if _drains(cursor, owner) is None:
        raise EngineUnavailable(_over(owner), hint="end its process, and start it again")


def demand_taking(cursor: Cursor, owner: HostLife) -> None:
    """The same for a host that would claim: raises ClaimHeld, too, if a person drains it."""
    demand_serving(cursor, owner)
    if _drains(cursor, owner):
        raise ClaimHeld(f"host '{owner.host}' is being drained")


def _drains(cursor: Cursor, owner: HostLife) -> bool | None:
    """None if the host's life is over."""
    cursor.execute(
        "SELECT draining FROM host WHERE name = %s AND life = %s FOR SHARE", [owner.host, owner.life]
    )
    row = cursor.fetchone()
    return None if row is None else bool(row[0])


def _over(owner: HostLife) -> str:
    return f"host '{owner.host}' was taken for dead, or another process has joined the fleet under its name"
