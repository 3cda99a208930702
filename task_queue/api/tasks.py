"""``/v1/tasks``: submit, list, look, change, cancel, retry, acknowledge, land, undo."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow
from task_queue.api.filters import ListQuery
from task_queue.api.paths import TaskPath
from task_queue.api.problems import ProblemError
from task_queue.app import acknowledging, changing, landing, retrying, undoing
from task_queue.app.patching import TaskPatch, patch
from task_queue.app.submitting import Submission, submit
from task_queue.app.tracked_task import TaskPage, TrackedTask
from task_queue.app.tracking import demand_change, tasks_page, tracked
from task_queue.domain.actions import ActionUnavailableError
from task_queue.domain.attempt.retry_wish import MOST_NOTE_CHARS, NO_WISH, RetryFrom, RetryWish
from task_queue.domain.document.settings import KEYS
from task_queue.domain.policy import AccessRole

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
_SOON_S = 5.0
_LongText = Annotated[str, Field(max_length=1_100_000)]
_SUBMISSION = {
    "title": "Fix the login",
    "instructions": "Make the tests of login.py pass.",
    "priority": 8,
    "labels": {"team": "web"},
}
_OWN_FIELDS = ("source", "document", "title", "description", "instructions", "labels")


def _with_keys(schema: dict[str, Any]) -> None:
    """Every key of the front matter is a field, too."""
    schema["additionalProperties"] = False
    for key in KEYS:
        if key.name not in (*_OWN_FIELDS, "submitted_by"):
            schema["properties"][key.name] = {"description": f"{key.help}: {key.read.form}"}
    schema["examples"] = [_SUBMISSION]


class SubmissionRequest(BaseModel):
    """A document, or a title with a description or instructions; with any key of the front matter."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True, json_schema_extra=_with_keys)
    source: Annotated[str, Field(max_length=300)] | None = None
    """Needed where there are several."""
    document: _LongText | None = None
    """Markdown, perhaps with front matter."""
    title: Annotated[str, Field(max_length=1000)] | None = Field(None, examples=["Fix the login"])
    """One line; needed where there is no document."""
    description: _LongText | None = None
    """What it is about; this or instructions are needed where there is no document."""
    instructions: _LongText | None = Field(None, examples=["Make the tests of login.py pass."])
    """What is to be done."""
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
    """10 is the most urgent."""
    not_before: AwareDatetime | None = None
    """It does not start before; null lets it start at once."""
    source: Annotated[str, Field(max_length=300)] | None = None
    """Where it is to wait."""
    document: _LongText | None = None
    """Needs the header If-Match, with the ETag that came with the document."""


class RetryRequest(BaseModel):
    """How it is tried again; may be left out."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    fresh: bool = False
    """In a new session and a new checkout."""
    begin_at: RetryFrom | None = None
    """The first phase that is done again; what came before it counts as it is."""
    note: Annotated[str, Field(max_length=MOST_NOTE_CHARS)] = ""
    """For the agent, in your words."""
    model: Annotated[str, Field(max_length=200)] | None = None
    """In place of the one that the task's settings name."""

    @property
    def wish(self) -> RetryWish:
        return RetryWish(self.fresh, self.note, self.model, self.begin_at)


def with_links(task: TrackedTask) -> TrackedTask:
    me = f"/v1/tasks/{task.id}"
    task.links = {
        "self": me,
        **{name: f"{me}/{name}" for name in ("document", "result", "report", "diff", "transcript", "events")},
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
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=200,
            min_length=1,
            description="Your own name of this submission: with it, it can be repeated.",
            examples=["build-4711"],
        ),
    ] = None,
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
    query: Annotated[ListQuery, Query()],
) -> TaskPage:
    """Tasks that match, some at a time, and how many there are of each status."""
    caller.demand(AccessRole.READ)
    page = tasks_page(
        installation, query.wanted, caller, kept, sort=query.sort, cursor=query.cursor, limit=query.limit
    )
    for task in page.tasks:
        with_links(task)
    return page


@router.get("/{task_id}")
def get_task(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> TrackedTask:
    """All that is known of a task."""
    return with_links(tracked(installation, task_id, caller, kept))


@router.delete("/{task_id}")
def withdraw_task(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
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
def cancel_task(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> TrackedTask:
    """Stop a task that waits or runs. No process of it is left once its status is `cancelled`."""
    task = demand_change(installation, task_id, caller, kept)
    changing.cancel(installation, task.id, timeout_s=0)
    return with_links(tracked(installation, task_id, caller, kept))


@router.patch("/{task_id}")
def change_task(
    *,
    task_id: TaskPath,
    body: TaskChange,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    if_match: Annotated[
        str | None,
        Header(
            max_length=200,
            description="The ETag of the document; needed with a new one.",
            examples=['"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"'],
        ),
    ] = None,
) -> TrackedTask:
    """Change a task while it waits: all that is asked for, or nothing."""
    fields = body.model_fields_set
    wanted = TaskPatch(
        body.priority,
        body.not_before,
        at_once="not_before" in fields and body.not_before is None,
        source=body.source,
        document=body.document,
    )
    known = None if if_match is None else if_match.strip().removeprefix("W/").strip('"')
    patch(installation, task_id, wanted, caller, kept, sha256=known)
    return with_links(tracked(installation, task_id, caller, kept))


@router.post("/{task_id}/retry", status_code=202)
def retry_task(
    task_id: TaskPath,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    body: RetryRequest | None = None,
) -> TrackedTask:
    """Try a failed task again."""
    task = demand_change(installation, task_id, caller, kept)
    retrying.retry(installation, task.id, body.wish if body is not None else NO_WISH)
    return with_links(tracked(installation, task_id, caller, kept))


@router.post("/{task_id}/acknowledge")
def acknowledge_task(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> TrackedTask:
    """Say that what needs attention was seen."""
    task = demand_change(installation, task_id, caller, kept)
    acknowledging.acknowledge(installation, [task.id])
    return with_links(tracked(installation, task_id, caller, kept))


@router.post("/{task_id}/land")
def land_task(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> TrackedTask:
    """Merge the branch of a completed task, by the rules of its own last phase; takes as long as its checks."""
    task = demand_change(installation, task_id, caller, kept)
    landed = landing.land(installation, task.id)
    if not landed.is_in_target:
        raise ProblemError(409, "not_landed", landed.said, details={"state": task.state.value})
    return with_links(tracked(installation, task_id, caller, kept))


@router.post("/{task_id}/undo")
def undo_task(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> TrackedTask:
    """Take back what a completed task has landed, once its checks pass without it; takes as long as they do."""
    task = demand_change(installation, task_id, caller, kept)
    undone = undoing.undo(installation, task.id)
    if not undone.is_undone:
        raise ProblemError(409, "not_undone", undone.said, details={"state": task.state.value})
    return with_links(tracked(installation, task_id, caller, kept))
