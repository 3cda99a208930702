"""``/history/bulk``: one action on every task that the filters of the history match, counted before it is done."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from task_queue.api.callers import InstallationNow, KeptNow
from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import ChangingVisitorNow
from task_queue.app.bulk import BulkAction, BulkChange, BulkOutcome, change_each
from task_queue.app.tracked_task import TaskFilter, TaskStatus
from task_queue.domain.actions import Action
from task_queue.domain.past_time import past_moment

router = APIRouter(include_in_schema=False)
_SHOWN = 100
_ENDED = (TaskStatus.COMPLETED.value, TaskStatus.FAILED.value, TaskStatus.CANCELLED.value)
_FilterField = Annotated[str, Form(max_length=300)]


@router.post("/history/bulk")
def change_many(
    *,
    request: Request,
    visitor: ChangingVisitorNow,
    installation: InstallationNow,
    kept: KeptNow,
    action: Annotated[BulkAction, Form()],
    source: _FilterField = "",
    outcome: _FilterField = "",
    text: _FilterField = "",
    since: _FilterField = "",
    sure: Annotated[bool, Form()] = False,
) -> Response:
    """Without *sure* only counts."""
    now = installation.now()
    wanted = TaskFilter(
        statuses=_ENDED,
        sources=(source,) if source else (),
        outcomes=(outcome,) if outcome else (),
        text=text or None,
        updated_after=past_moment(since, now) if since else None,
    )
    looked = change_each(installation, wanted, BulkChange(action, dry_run=True), visitor.caller, kept)
    able = [
        each.task
        for each in looked
        if each.error is None and Action(action.value) in each.task.available_actions
    ]
    outcomes: list[BulkOutcome] = []
    if sure and able:
        ids = frozenset(task.id for task in able)
        outcomes = list(change_each(installation, wanted, BulkChange(action), visitor.caller, kept, ids=ids))
    return page(
        request,
        "bulk.html",
        visitor,
        asked={"source": source, "outcome": outcome, "text": text, "since": since, "action": action.value},
        sure=sure,
        able=able,
        shown=able[:_SHOWN],
        refused=[each for each in outcomes if each.error is not None],
    )
