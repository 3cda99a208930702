"""Leases: for how long a worker out of sight holds a claim, and what it hears of it.

Pure: the time is an argument, in seconds of a clock that only grows and that begins anew with the process that serves
the source. So a lease ends only after that process could have heard of its worker for as long as the lease is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

WORKER = "worker"
"""Kind of owner: a worker that claims tasks through the API."""
SHORTEST_S, USUAL_S, LONGEST_S = 30.0, 300.0, 86_400.0


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """On what a worker holds a claim."""

    worker: str
    seconds: float
    """After each sign of life."""


@dataclass(frozen=True, slots=True)
class Lease:
    """``ends_at`` is of the clock that only grows."""

    terms: LeaseTerms
    ends_at: float

    def renewed(self, now: float) -> Lease:
        return lease_from(self.terms, now)

    def is_over(self, now: float) -> bool:
        return now >= self.ends_at


def lease_from(terms: LeaseTerms, now: float) -> Lease:
    """A whole lease, at *now*."""
    return Lease(terms, now + terms.seconds)


class Directive(StrEnum):
    """What a worker hears at each sign of life."""

    CONTINUE = "continue"
    DRAIN = "drain"
    """Finish it; nothing more of the source is handed out for now."""
    CANCEL = "cancel"
    """A person wants it ended: end it, then say that it failed as cancelled."""


def why_unfetched(asked: Mapping[str, str | None]) -> str | None:
    """Why no worker gets the tasks of a source; None while one does that asked.

    *asked*: the workers that would carry one out, each with the name of the repository that it does not fetch, or None.
    """
    lacking = sorted(worker for worker, lacks in asked.items() if lacks is not None)
    if not lacking or len(lacking) < len(asked):
        return None
    name = asked[lacking[0]]
    return (
        f"no worker that asked fetches {name} ({', '.join(lacking)}): start one that reaches it,"
        f" with --repositories {name}"
    )


def directive_for(*, cancelled: bool, closed: bool) -> Directive:
    """*closed*: nothing of the source starts because a person wants that."""
    if cancelled:
        return Directive.CANCEL
    return Directive.DRAIN if closed else Directive.CONTINUE


class Refusal(StrEnum):
    """Why what a worker says of a claim does not count."""

    NOT_OWNER = "not_owner"
    """Another worker claimed it."""
    FENCED = "fenced"
    """It is of an epoch that is over: a later attempt has begun, or none such was claimed."""
    EXPIRED = "expired"
    """The lease ended, and with it the attempt."""


@dataclass(frozen=True, slots=True)
class ClaimStanding:
    """What is known of a claim; an epoch is the number of the task's attempt."""

    worker: str
    epoch: int
    last_epoch: int
    """Of the task's last attempt."""
    is_live: bool
    """It is in hand, and its lease is not over."""
    is_reported: bool = False
    """Its worker has said how it ended."""


def refusal_of(standing: ClaimStanding, *, worker: str | None, epoch: int) -> Refusal | None:
    """Why *worker* may not speak for the claim in *epoch*, None if it may; None as worker: the owner of the queue.

    What has been reported stays so, however late it is said again.
    """
    if worker is not None and worker != standing.worker:
        return Refusal.NOT_OWNER
    if epoch != standing.epoch:
        return Refusal.FENCED
    if standing.is_reported:
        return None
    if standing.last_epoch != standing.epoch:
        return Refusal.FENCED
    return None if standing.is_live else Refusal.EXPIRED
