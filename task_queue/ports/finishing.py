"""The seam to the process that finishes work which was done elsewhere: one request in, how the attempt ended out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.model import Outcome, Work
from task_queue.ports.executor import Order


@dataclass(frozen=True, slots=True)
class CommitBundle:
    """A git bundle as who made it describes it."""

    path: Path
    tip: str
    base_commit: str


@dataclass(frozen=True, slots=True)
class FinishingRequest:
    """Travels as JSON. ``outcome`` and ``work`` are as they were reported."""

    order: Order
    """Of the attempt, by the settings in force."""
    outcome: Outcome
    work: Work
    bundle: CommitBundle


@dataclass(frozen=True, slots=True)
class FinishedWork:
    """How the attempt ended, and what its work came to."""

    outcome: Outcome
    work: Work
