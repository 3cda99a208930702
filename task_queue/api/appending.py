"""Events that others append to a task."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow, served
from task_queue.api.paths import TaskPath
from task_queue.api.problems import ProblemError
from task_queue.app.appending import AppendedLine, AppendedProgress, Appending
from task_queue.client.answers import AppendedAnswer

router = APIRouter(tags=["events"])
_LARGEST = 16 * 1024
_EventText = Annotated[str, Field(min_length=1, max_length=4000)]
_CLOSED = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ProgressEvent(BaseModel):
    """How far the task is."""

    model_config = _CLOSED | {
        "json_schema_extra": {"examples": [{"type": "progress", "percent": 40, "step": "tests"}]}
    }
    type: Literal["progress"]
    """Which kind of event."""
    percent: Annotated[float, Field(ge=0, le=100, strict=True, allow_inf_nan=False)] | None = None
    """What is smaller than before changes nothing."""
    step: Annotated[str, Field(max_length=300)] | None = None
    """What is done now."""


class LogEvent(BaseModel):
    """A line for a log."""

    model_config = _CLOSED | {
        "json_schema_extra": {"examples": [{"type": "log", "message": "42 tests passed"}]}
    }
    type: Literal["log"]
    """Which kind of event."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """How serious it is."""
    message: _EventText
    """What happened."""


class NoteEvent(BaseModel):
    """A remark."""

    model_config = _CLOSED | {
        "json_schema_extra": {"examples": [{"type": "note", "message": "Ada looks at it"}]}
    }
    type: Literal["note"]
    """Which kind of event."""
    message: _EventText
    """The remark."""


AppendedEvent = Annotated[
    ProgressEvent | LogEvent | NoteEvent,
    Body(discriminator="type", examples=[{"type": "log", "message": "42 tests passed"}]),
]


@router.post("/v1/tasks/{task_id}/events", status_code=201)
def append_event(
    *,
    request: Request,
    task_id: TaskPath,
    body: AppendedEvent,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    task_queue_claim: Annotated[
        str | None,
        Header(max_length=700, description="`ID;epoch=N` of who works on it.", examples=["abc;epoch=1"]),
    ] = None,
) -> AppendedAnswer:
    """Append an event, at most 16 KiB: by who holds the task's claim, or who operates the queue.

    The queue decides nothing by it.
    """
    if len(json.dumps(body.model_dump(), ensure_ascii=False).encode()) > _LARGEST:
        raise ProblemError(413, "too_large", f"an event may have at most {_LARGEST:,} bytes")
    content = (
        AppendedProgress(body.percent, body.step)
        if isinstance(body, ProgressEvent)
        else AppendedLine(body.message, body.level if isinstance(body, LogEvent) else None)
    )
    api = served(request)
    appending = Appending(installation, api.desk, api.event_tokens, caller, kept)
    return AppendedAnswer(percent=appending.append(task_id, content, claim=task_queue_claim))
