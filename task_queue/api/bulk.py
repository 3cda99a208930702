"""``POST /v1/tasks/bulk``"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow
from task_queue.api.filters import BulkFilter
from task_queue.api.problems import ProblemError, content_of, problem_of
from task_queue.app.bulk import BulkAction, BulkChange, BulkOutcome, change_each
from task_queue.client.answers import BulkAnswer, BulkAnswers
from task_queue.domain.policy import AccessRole

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])


class BulkRequest(BaseModel):
    """One action on every task that matches; an empty filter matches none."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [{"filter": {"status": ["queued"], "label": ["team=web"]}, "action": "cancel"}]
        },
    )
    filter: BulkFilter
    """Which tasks."""
    action: BulkAction
    """What is done to each."""
    priority: Annotated[int, Field(ge=1, le=10, strict=True)] | None = None
    """Needed with the action `priority`."""
    dry_run: bool = False
    """Only say which tasks match, and which of them may not be changed."""


@router.post("/bulk")
def change_many(
    body: BulkRequest, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> BulkAnswers:
    """One action on many tasks, with an answer for each."""
    caller.demand(AccessRole.READ)
    if body.action is BulkAction.PRIORITY and body.priority is None:
        raise ProblemError(422, "invalid_request", "priority: is needed with the action priority")
    if not body.filter.limits:
        raise ProblemError(422, "invalid_request", "filter: must limit the tasks by something")
    change = BulkChange(body.action, body.priority or 0, body.dry_run)
    outcomes = change_each(installation, body.filter.wanted, change, caller, kept, ids=body.filter.ids)
    return BulkAnswers(dry_run=body.dry_run, tasks=tuple(map(_answer, outcomes)))


def _answer(outcome: BulkOutcome) -> BulkAnswer:
    problem = None if outcome.error is None else content_of(problem_of(outcome.error))
    return BulkAnswer(id=outcome.task.id, status=outcome.task.status, done=outcome.done, problem=problem)
