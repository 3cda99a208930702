"""From how a task ended in the private queue to the report for the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from task_queue.app.tracked_task import TrackedTask
from task_queue.domain.model import OutcomeKind
from task_queue.worker.held_claims import EndReport

_FOR_THE_SERVER = frozenset({OutcomeKind.LIMITED, OutcomeKind.UNAVAILABLE, OutcomeKind.ACCOUNT})
"""Endings after which the private queue would wait, and another worker need not."""


def report_of(task: TrackedTask, ending: Mapping[str, Any]) -> EndReport:
    """*task* has ended; *ending* is that of its last attempt, empty if it has none."""
    result = task.result or {}
    kind = str(result.get("outcome") or task.outcome or OutcomeKind.CRASHED)
    outcome = dict(ending.get("outcome") or {})
    if outcome.get("kind") != kind:
        outcome = {"kind": kind, "reason": str(result.get("error") or task.error or kind)}
    work = dict(ending.get("work") or {})
    branch = _product_in(work).get("branch")
    if kind != OutcomeKind.SUCCEEDED:
        return EndReport("fail", outcome, work, branch=branch)
    return EndReport("complete", outcome, work, branch=branch)


def given_back_by_queue(ending: Mapping[str, Any]) -> EndReport | None:
    """For a task that waits again after an attempt with *ending*: None if it is to be tried here again."""
    outcome = dict(ending.get("outcome") or {})
    if outcome.get("kind") not in _FOR_THE_SERVER:
        return None
    work = dict(ending.get("work") or {})
    return EndReport("release", outcome, work, branch=_product_in(work).get("branch"))


def given_back(kind: str, reason: str) -> EndReport:
    return EndReport("release", {"kind": kind, "reason": reason[:2000]})


def failed(reason: str) -> EndReport:
    return EndReport("fail", {"kind": OutcomeKind.FAILED.value, "reason": reason})


def cancelled() -> EndReport:
    return EndReport("fail", {"kind": OutcomeKind.CANCELLED.value, "reason": "cancelled before it began"})


def _product_in(work: Mapping[str, Any]) -> dict[str, Any]:
    return dict(work.get("product") or {})
