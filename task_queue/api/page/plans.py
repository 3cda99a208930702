"""``/tasks/ID/retry`` and ``/tasks/ID/undo``: what they would do, before a person says that they are to do it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from task_queue.api.callers import InstallationNow, KeptNow
from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import VisitorNow
from task_queue.app.installation import Installation
from task_queue.app.retrying import what_retry_does
from task_queue.app.tracking import demand_change
from task_queue.app.undoing import what_undo_does
from task_queue.domain.actions import ActionUnavailableError
from task_queue.domain.attempt.retry_wish import MOST_NOTE_CHARS, RetryFrom, RetryWish
from task_queue.domain.task import TaskId

router = APIRouter(prefix="/tasks/{task_id}", include_in_schema=False)
_WAYS = {
    "": ("Go on", RetryWish()),
    "fresh": ("From the beginning", RetryWish(fresh=True)),
    RetryFrom.VERIFY: ("From the checks", RetryWish(begin_at=RetryFrom.VERIFY)),
    RetryFrom.AUDIT: ("From the audit", RetryWish(begin_at=RetryFrom.AUDIT)),
    RetryFrom.LAND: ("From the landing", RetryWish(begin_at=RetryFrom.LAND)),
}
"""By what the form sends: their names, and what they ask for."""


@dataclass(frozen=True, slots=True)
class _RetryWay:
    """``why_not``: why it is not possible; empty where it is."""

    value: str
    name: str
    kept: str = ""
    again: str = ""
    why_not: str = ""


@router.get("/retry")
def plan_retry(
    request: Request, task_id: str, visitor: VisitorNow, installation: InstallationNow, kept: KeptNow
) -> Response:
    task = demand_change(installation, task_id, visitor.caller, kept)
    what_retry_does(installation, task.id)
    return page(
        request,
        "retry.html",
        visitor,
        task=task,
        ways=tuple(_ways(installation, task.id)),
        hears_nothing=_why_not(installation, task.id, RetryWish(note="a note")),
        most=MOST_NOTE_CHARS,
    )


def _ways(installation: Installation, task_id: TaskId) -> Iterator[_RetryWay]:
    for value, (name, wish) in _WAYS.items():
        try:
            done = what_retry_does(installation, task_id, wish)
        except ActionUnavailableError as error:
            yield _RetryWay(value, name, why_not=str(error))
        else:
            yield _RetryWay(value, name, done.kept, done.again)


def _why_not(installation: Installation, task_id: TaskId, wish: RetryWish) -> str:
    try:
        what_retry_does(installation, task_id, wish)
    except ActionUnavailableError as error:
        return str(error)
    return ""


@router.get("/undo")
def plan_undo(
    request: Request, task_id: str, visitor: VisitorNow, installation: InstallationNow, kept: KeptNow
) -> Response:
    task = demand_change(installation, task_id, visitor.caller, kept)
    plan = what_undo_does(installation, task.id)
    return page(request, "undo.html", visitor, task=task, plan=plan)
