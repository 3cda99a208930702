"""The seam to the process that takes back what an ended task has landed: one request in, one answer out."""

from __future__ import annotations

from dataclasses import dataclass

from task_queue.domain.model import WorkProduct
from task_queue.ports.executor import Order


@dataclass(frozen=True, slots=True)
class UndoRequest:
    """Travels as JSON."""

    order: Order
    """Of the task's last attempt, by the settings in force."""
    product: WorkProduct


@dataclass(frozen=True, slots=True)
class UndoAnswer:
    """Travels as JSON."""

    product: WorkProduct
    """What the work comes to now."""
    why_not: str | None = None
    """Why it was not taken back; None: it was, by this try or before."""
