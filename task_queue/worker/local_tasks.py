"""From the order of a claim to the document of the task that carries it out here."""

from __future__ import annotations

from pathlib import Path

from task_queue.app.claiming import ClaimView, OrderView
from task_queue.domain.document.writing import with_keys, without_keys
from task_queue.domain.task import TaskId

_FOR_THE_SERVER = (
    *("depends_on", "on_dependency_failure", "not_before", "dedupe_key", "capabilities", "touches"),
    *("max_attempts", "retry_delay", "workspace", "isolation", "landing"),
)
"""What the server does itself, and what is different here."""


def local_id_of(claim: ClaimView) -> TaskId:
    """Of each attempt another one: an earlier one of the same task may have left something here."""
    order = claim.order
    return order.task_id if claim.epoch == 1 else TaskId(f"{order.task_id}.e{claim.epoch}")


def local_document(order: OrderView, workspace: Path) -> str:
    """The task for the private queue: one attempt in *workspace*, whose work stays on a branch.

    Raises TaskFileError.
    """
    here = {"workspace": str(workspace), "max_attempts": "1"}
    if order.base_commit is not None:
        here |= {"isolation": "worktree", "landing": "branch"}
    return with_keys(without_keys(order.document, _FOR_THE_SERVER), here)
