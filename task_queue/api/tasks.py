"""``/v1/tasks``: submit, list, look, change, cancel, retry, acknowledge, land."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow
from task_queue.api.problems import ProblemError, content_of, problem_of
from task_queue.app import acknowledging, changing, landing, revising
from task_queue.app.installation import Installation
from task_queue.app.submitting import Submission, checked_document, submit
from task_queue.app.tracked_task import TaskFilter, TaskPage, TaskStatus, TrackedTask
from task_queue.app.tracking import KeptDocuments, demand_change, tasks_page, tracked, tracked_tasks
from task_queue.client.answers import BulkAnswer, BulkAnswers
from task_queue.domain.actions import ActionUnavailableError
from task_queue.domain.document.settings import KEYS
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.policy import AccessRole, Caller

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
_SOON_S = 5.0
_LongText = Annotated[str, Field(max_length=1_100_000)]
_QueryText = Annotated[str, Query(max_length=300)]
_OWN_FIELDS = ("source", "document", "title", "description", "instructions", "labels")


def _with_keys(schema: dict[str, Any]) -> None:
    """Every key of the front matter is a field, too."""
    schema["additionalProperties"] = False
    for key in KEYS:
        if key.name not in (*_OWN_FIELDS, "submitted_by"):
            schema["properties"][key.name] = {"description": f"{key.help}: {key.read.form}"}


class SubmissionRequest(BaseModel):
    """A document, or a title with a description or instructions; with any key of the front matter."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True, json_schema_extra=_with_keys)
    source: Annotated[str, Field(max_length=300)] | None = None
    """Needed where there are several."""
    document: _LongText | None = None
    """Markdown, perhaps with front matter."""
    title: Annotated[str, Field(max_length=1000)] | None = Field(None, examples=["Fix the login"])
    description: _LongText | None = None
    instructions: _LongText | None = Field(None, examples=["Make the tests of login.py pass."])
    labels: dict[str, Any] | None = Field(None, examples=[{"team": "web"}])
    """At most 4 KiB of JSON, never interpreted."""

    @model_validator(mode="after")
    def _no_submitter(self) -> SubmissionRequest:
        if "submitted_by" in (self.model_extra or {}):
            raise ValueError("submitted_by: the API says that itself")
        return self


class TaskChange(BaseModel):
    """What is to be different about a task that waits."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    priority: Annotated[int, Field(ge=1, le=10, strict=True)] | None = Field(None, examples=[8])
    not_before: AwareDatetime | None = None
    source: Annotated[str, Field(max_length=300)] | None = None
    """Where it is to wait."""
    document: _LongText | None = None
    """Needs the header If-Match, with the ETag that came with the document."""


class RetryRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    fresh: bool = False
    """In a new session and a new checkout."""


class BulkFilter(BaseModel):
    """As the parameters of the list."""

    model_config = ConfigDict(extra="forbid")
    ids: Annotated[tuple[str, ...], Field(max_length=1000)] = ()
    status: tuple[Literal["queued", "running", "completed", "failed", "cancelled", "dead_letter"], ...] = ()
    source: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    submitted_by: str | None = None
    label: tuple[str, ...] = ()
    text: str | None = None


class BulkRequest(BaseModel):
    """One action on every task that matches; an empty filter matches none."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    filter: BulkFilter
    action: Literal["cancel", "retry", "acknowledge", "priority"]
    priority: Annotated[int, Field(ge=1, le=10, strict=True)] | None = None
    dry_run: bool = False
    """Only say which tasks match."""


def with_links(task: TrackedTask) -> TrackedTask:
    me = f"/v1/tasks/{task.id}"
    task.links = {
        "self": me,
        **{name: f"{me}/{name}" for name in ("document", "result", "report", "transcript", "events")},
    }
    return task


@router.post("", status_code=202)
def submit_task(
    *,
    body: SubmissionRequest,
    response: Response,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    idempotency_key: Annotated[str | None, Header(max_length=200, min_length=1)] = None,
) -> TrackedTask:
    """Hand in a task; returns at once. The same `Idempotency-Key` within 7 days leads to the same task."""
    caller.demand(AccessRole.SUBMIT)
    submission = Submission(
        body.source,
        body.document,
        body.title,
        body.description,
        body.instructions,
        body.labels,
        body.model_extra or {},
    )
    answer = submit(installation, submission, caller, kept, key=idempotency_key)
    response.headers["location"] = f"/v1/tasks/{answer.task.id}"
    response.headers["idempotency-replayed"] = str(not answer.is_new).lower()
    return with_links(answer.task)


@router.get("")
def list_tasks(
    *,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    status: Annotated[
        list[Literal["queued", "running", "completed", "failed", "cancelled", "dead_letter"]] | None, Query()
    ] = None,
    source: Annotated[list[_QueryText] | None, Query()] = None,
    type: Annotated[list[_QueryText] | None, Query()] = None,  # noqa: A002 - the name in the URL
    outcome: Annotated[list[_QueryText] | None, Query()] = None,
    executor: Annotated[list[_QueryText] | None, Query()] = None,
    capability: _QueryText | None = None,
    submitted_by: _QueryText | None = None,
    label: Annotated[list[_QueryText] | None, Query(description="`key`, or `key=value`")] = None,
    attention: bool | None = None,
    text: _QueryText | None = None,
    created_after: AwareDatetime | None = None,
    created_before: AwareDatetime | None = None,
    sort: Literal[
        "created_at",
        "-created_at",
        "updated_at",
        "-updated_at",
        "priority",
        "-priority",
        "id",
        "-id",
    ] = "-created_at",
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> TaskPage:
    """Tasks that match, some at a time, and how many there are of each status."""
    caller.demand(AccessRole.READ)
    wanted = TaskFilter(
        tuple(status or ()),
        tuple(source or ()),
        tuple(type or ()),
        tuple(outcome or ()),
        tuple(executor or ()),
        capability,
        submitted_by,
        tuple(label or ()),
        attention,
        text,
        created_after,
        created_before,
    )
    page = tasks_page(installation, wanted, caller, kept, sort=sort, cursor=cursor, limit=limit)
    for task in page.tasks:
        with_links(task)
    return page


@router.post("/bulk")
def change_many(
    body: BulkRequest, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> BulkAnswers:
    """One action on many tasks, with an answer for each."""
    caller.demand(AccessRole.READ)
    if body.action == "priority" and body.priority is None:
        raise ProblemError(422, "invalid_request", "priority: is needed with the action priority")
    if not body.filter.model_fields_set:
        raise ProblemError(422, "invalid_request", "filter: must limit the tasks by something")
    given = body.filter
    wanted = TaskFilter(
        given.status,
        given.source,
        given.type,
        given.outcome,
        submitted_by=given.submitted_by,
        labels=given.label,
        text=given.text,
    )
    tasks = tracked_tasks(installation, wanted, caller, kept)
    chosen = [task for task in tasks if not given.ids or task.id in given.ids]
    answers = [_change_one(body, installation, task, caller, kept) for task in chosen]
    return BulkAnswers(dry_run=body.dry_run, tasks=tuple(answers))


def _change_one(
    body: BulkRequest, installation: Installation, task: TrackedTask, caller: Caller, kept: KeptDocuments
) -> BulkAnswer:
    answer = BulkAnswer(id=task.id, status=task.status, done=False)
    try:
        demand_change(installation, task.id, caller, kept)
        if body.dry_run:
            return answer
        match body.action:
            case "cancel":
                changing.cancel(installation, task.id, timeout_s=0)
            case "retry":
                changing.retry(installation, task.id)
            case "acknowledge":
                acknowledging.acknowledge(installation, [task.id])
            case "priority":
                revising.prioritize(installation, task.id, body.priority or 5)
    except TaskQueueError as error:
        answer.problem = content_of(problem_of(error))
    else:
        answer.done = True
    return answer


@router.get("/{task_id}")
def get_task(task_id: str, installation: InstallationNow, caller: CallerNow, kept: KeptNow) -> TrackedTask:
    """All that is known of a task."""
    return with_links(tracked(installation, task_id, caller, kept))


@router.delete("/{task_id}")
def withdraw_task(
    task_id: str, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> TrackedTask:
    """Cancel a task that waits; one that runs is only stopped by its operation `cancel`."""
    task = demand_change(installation, task_id, caller, kept)
    try:
        changing.withdraw(installation, task.id, timeout_s=_SOON_S)
    except ActionUnavailableError as error:
        if not error.state.ended:
            raise
        ended = {"state": error.state.value}
        raise ProblemError(410, "task_ended", error.in_full, details=ended) from None
    return with_links(tracked(installation, task_id, caller, kept))


@router.post("/{task_id}/cancel", status_code=202)
def cancel_task(task_id: str, installation: InstallationNow, caller: CallerNow, kept: KeptNow) -> TrackedTask:
    """Stop a task that waits or runs. No process of it is left once its status is `cancelled`."""
    task = demand_change(installation, task_id, caller, kept)
    changing.cancel(installation, task.id, timeout_s=0)
    return with_links(tracked(installation, task_id, caller, kept))


@router.patch("/{task_id}")
def change_task(
    *,
    task_id: str,
    body: TaskChange,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    if_match: Annotated[str | None, Header(max_length=200)] = None,
) -> TrackedTask:
    """Change a task while it waits. With several changes, those before one that is refused are made."""
    task = demand_change(installation, task_id, caller, kept)
    if body.document is not None:
        if if_match is None:
            raise ProblemError(428, "if_match_needed", "a new document needs the header If-Match")
        text = checked_document(
            installation,
            body.document,
            source_id=task.source,
            caller=caller,
            submitted_by=task.submitted_by,
        )
        revising.replace_document(installation, task.id, text, sha256=if_match.strip('"'))
    if body.priority is not None:
        revising.prioritize(installation, task.id, body.priority)
    if body.not_before is not None:
        revising.delay(installation, task.id, body.not_before)
    if body.source is not None:
        if not caller.policy.allows_source(body.source):
            raise ProblemError(403, "outside_policy", f"the policy does not allow source {body.source}")
        revising.move(installation, task.id, body.source)
    return with_links(tracked(installation, task_id, caller, kept))


@router.post("/{task_id}/retry", status_code=202)
def retry_task(
    task_id: str,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    body: RetryRequest | None = None,
) -> TrackedTask:
    """Try a failed task again."""
    task = demand_change(installation, task_id, caller, kept)
    changing.retry(installation, task.id, fresh=body is not None and body.fresh)
    return with_links(tracked(installation, task_id, caller, kept))


@router.post("/{task_id}/acknowledge")
def acknowledge_task(
    task_id: str, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> TrackedTask:
    """Say that what needs attention was seen."""
    task = demand_change(installation, task_id, caller, kept)
    _demand_ended(task)
    acknowledging.acknowledge(installation, [task.id])
    return with_links(tracked(installation, task_id, caller, kept))


@router.post("/{task_id}/land")
def land_task(task_id: str, installation: InstallationNow, caller: CallerNow, kept: KeptNow) -> TrackedTask:
    """Merge the branch of a completed task, by the rules of its own last phase; takes as long as its checks."""
    task = demand_change(installation, task_id, caller, kept)
    _demand_ended(task)
    landed = landing.land(installation, task.id)
    if not landed.is_in_target:
        raise ProblemError(409, "not_landed", landed.said, details={"state": task.state.value})
    return with_links(tracked(installation, task_id, caller, kept))


def _demand_ended(task: TrackedTask) -> None:
    if task.status in {TaskStatus.QUEUED, TaskStatus.RUNNING}:
        detail = f"task {task.id} is {task.status}: it has to end first"
        raise ProblemError(409, f"task_{task.state}", detail, details={"state": task.state.value})
