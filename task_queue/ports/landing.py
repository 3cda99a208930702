"""The seam to the process that lands the branch of a task that has ended: one request in, the work product out."""

from __future__ import annotations

from dataclasses import dataclass

from task_queue.domain.model import WorkProduct
from task_queue.ports.executor import Order


@dataclass(frozen=True, slots=True)
class LandingRequest:
    """Travels as JSON."""

    order: Order
    """Of the task's last attempt, by the settings in force."""
    product: WorkProduct
    """What the work came to so far."""
    check_anew: bool = False
    """Also files on which the checks failed in an earlier try."""
