"""What counts of a work product that was made on another machine. Pure."""

from __future__ import annotations

from collections.abc import Collection

from task_queue.domain.document.choices import Isolation
from task_queue.domain.model import WorkProduct


def taken_over(reported: WorkProduct | None) -> WorkProduct:
    """What its agent's words, prompts and costs are; nothing that says what is in the repository here.

    Commands are left out: a person would run them here.
    """
    if reported is None:
        return WorkProduct(None)
    return WorkProduct(
        workspace=None,
        isolation=Isolation.NONE,
        verification=reported.verification,
        audit=reported.audit,
        prompts=dict(reported.prompts),
        cost_by_phase=dict(reported.cost_by_phase),
        seconds_by_phase=dict(reported.seconds_by_phase),
        notes=reported.notes,
        changes_expected=reported.changes_expected,
    )


def by_queue(reported: WorkProduct | None, commits: Collection[str]) -> tuple[str, ...]:
    """Which of *commits* a queue made where the work was done."""
    return tuple(
        commit for commit in (reported.by_queue if reported is not None else ()) if commit in commits
    )
