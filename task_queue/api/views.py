"""The answers of the reading commands, in the JSON of ``--json``: for credentials whose policy allows every task."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, TypeAdapter

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow
from task_queue.api.paths import TaskPath
from task_queue.app import history as app_history
from task_queue.app import report as app_report
from task_queue.app import status as app_status
from task_queue.app.finding import unknown_task
from task_queue.app.fleet_sight import fleet_listed
from task_queue.app.listing import list_of, show_of
from task_queue.app.task_elsewhere import TaskElsewhereError, view_of
from task_queue.app.tracking import tracked
from task_queue.domain.document.choices import WorkType
from task_queue.domain.task import TaskState

_DAY = timedelta(days=1)
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)
_OneSource = Annotated[
    str | None, Query(max_length=300, description="Only of this source.", examples=["ad-hoc"])
]
_AtMost = Annotated[int, Query(ge=1, le=10_000, description="At most so many.")]
_SinceThen = Annotated[
    AwareDatetime | None,
    Query(description="Only what ended then or later.", examples=["2026-02-01T00:00:00Z"]),
]


def _demand_everything(caller: CallerNow) -> None:
    caller.demand_everything("these answers")


router = APIRouter(tags=["views"], dependencies=[Depends(_demand_everything)])


def _as(command: str) -> dict[int | str, dict[str, Any]]:
    """The command's own JSON, which may have more in later releases."""
    said = f"What `task-queue {command} --json` prints."
    schema = {"type": "object", "description": said, "examples": [{"schema_version": 1}]}
    return {200: {"description": said, "content": {"application/json": {"schema": schema}}}}


@router.get("/v1/status", response_class=Response, responses=_as("status"))
def get_status(
    installation: InstallationNow,
    waiting: Annotated[
        int, Query(ge=0, le=1_000_000, description="How many that wait to name, of each source.")
    ] = 5,
    ended: Annotated[int, Query(ge=0, le=1000, description="The same of those that ended.")] = 0,
    outlook: Annotated[bool, Query(description="With when each starts and ends.")] = False,
) -> Response:
    """Daemon, account, sources, what runs, what waits and why, what needs a person."""
    view = app_status.status(
        installation,
        now=installation.now(),
        waiting_shown=waiting,
        ended_shown=ended,
        with_outlook=outlook,
    )
    return _said(view)


@router.get("/v1/listing", response_class=Response, responses=_as("tasks list"))
def get_listing(
    *,
    installation: InstallationNow,
    source: _OneSource = None,
    state: Annotated[list[TaskState] | None, Query(description="Only these.", examples=[["failed"]])] = None,
    type: Annotated[  # noqa: A002 - the name in the URL
        list[WorkType] | None, Query(description="Only this work.", examples=[["general"]])
    ] = None,
    dead: Annotated[bool, Query(description="Only those whose attempts are used up.")] = False,
    limit: _AtMost = 20,
) -> Response:
    """Tasks by source and state; the limit is for each state of each source."""
    kinds = [each.value for each in type or ()]
    view = list_of(
        installation.circumstances(),
        installation.sources(source),
        states=state or list(TaskState),
        limit=limit,
        problems=installation.problems,
        types=kinds,
        dead=dead,
        fleet=fleet_listed(installation, source, state or TaskState, limit=limit, types=kinds, dead=dead),
    )
    return _said(view)


@router.get("/v1/history", response_class=Response, responses=_as("history"))
def get_history(
    *,
    installation: InstallationNow,
    since: _SinceThen = None,
    source: _OneSource = None,
    outcome: Annotated[
        list[Annotated[str, Query(max_length=300)]] | None,
        Query(description="Only these outcomes, `completed` or `failed`.", examples=[["failed"]]),
    ] = None,
    text: Annotated[
        str | None, Query(max_length=300, description="Part of an id or a cause.", examples=["login"])
    ] = None,
    limit: _AtMost = 20,
    before: Annotated[
        int | None,
        Query(ge=0, description="The `before` of the answer whose older ends are wanted.", examples=[4711]),
    ] = None,
) -> Response:
    """What ended and how, the newest first. One answer looks at a part of the past; `more` says that it goes on."""
    view = app_history.history(
        installation,
        since=since,
        source_id=source,
        outcomes=outcome or (),
        text=text,
        limit=limit,
        before=before,
        at_once=True,
    )
    return _said(view)


@router.get("/v1/report", response_class=Response, responses=_as("report"))
def get_morning_report(installation: InstallationNow, since: _SinceThen = None) -> Response:
    """What needs a person, what was done, what failed and why; since a day ago, where nothing else is said."""
    return _said(app_report.report(installation, since=since or installation.now() - _DAY))


@router.get("/v1/tasks/{task_id}/details", response_class=Response, responses=_as("tasks show"))
def get_details(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> Response:
    """All that is known of one task, with its attempts."""
    try:
        task = tracked(installation, task_id, caller, kept)
    except TaskElsewhereError as elsewhere:
        return _said(view_of(elsewhere))
    view = show_of(installation.circumstances(), task.id, events=installation.locations.events)
    if view is None:
        raise unknown_task(task.id)
    return _said(view)


def _said(view: Any) -> Response:
    return Response(_ANYTHING.dump_json(view), media_type="application/json")
