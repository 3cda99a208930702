"""Answers that only the API gives; those that commands give, too, are in ``app``. Server and clients share them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic.config import JsonDict

from task_queue.app.tracked_task import TrackedTask

EXAMPLE_EVENT: dict[str, JsonValue] = {
    "cursor": "0c1f3d52.2a.1f40.9d3c11ab",
    "at": "2026-02-07T12:00:00+00:00",
    "type": "settled",
    "source": "ad-hoc",
    "task_id": "task-20260207-120000-fix-login",
    "attempt": 1,
    "data": {"outcome": "succeeded"},
}
_SOURCE: JsonDict = {"id": "ad-hoc", "description": "", "state": "paused", "paused_by": "command"}
_WORKER: JsonDict = {
    "source": "ad-hoc",
    "state": "unserved",
    "why": "the daemon does not run",
    "task_id": "task-20260207-120000-fix-login",
}
_REMOTE: JsonDict = {
    "worker_id": "builder-1",
    "last_seen": "2026-02-07T12:01:00+00:00",
    "claims": [
        {
            "source": "builds",
            "task_id": "task-20260207-120000-fix-login",
            "attempt": 1,
            "lease_expires_at": "2026-02-07T12:06:00+00:00",
            "progress_percent": 40.0,
            "step": "implement",
            "last_frame_at": "2026-02-07T12:00:58+00:00",
        }
    ],
}


class BulkAnswer(BaseModel):
    """What became of one task."""

    model_config = ConfigDict(use_attribute_docstrings=True)
    id: str
    """Of the task."""
    status: str
    """What the task was before."""
    done: bool
    """Whether the action was carried out."""
    problem: dict[str, Any] | None = None
    """Why not, as the operation for one task would have answered."""


class BulkAnswers(BaseModel):
    """An answer for each task that matched."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "dry_run": False,
                    "tasks": [
                        {
                            "id": "task-20260207-120000-fix-login",
                            "status": "queued",
                            "done": True,
                            "problem": None,
                        }
                    ],
                }
            ]
        },
    )
    dry_run: bool
    """Nothing was changed."""
    tasks: tuple[BulkAnswer, ...]
    """Those that matched."""


class EventAnswer(BaseModel):
    """One event."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [EXAMPLE_EVENT]})
    cursor: str
    """To go on after it."""
    at: str
    """When it happened, ISO 8601."""
    type: str
    """As `docs/events.md` lists them."""
    source: str | None
    """Null where it concerns none."""
    task_id: str | None
    """Null where it concerns none."""
    attempt: int | None
    """Null where it concerns none."""
    data: dict[str, Any]
    """By type."""


class EventPage(BaseModel):
    """Events in their order."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [{"events": [EXAMPLE_EVENT], "cursor": EXAMPLE_EVENT["cursor"], "more": False}]
        },
    )
    events: tuple[EventAnswer, ...]
    """At most as many as were asked for."""
    cursor: str | None
    """Go on after this one; null where there is no event yet."""
    more: bool
    """There may be more at once."""


class FramesAnswer(BaseModel):
    """The transcript holds the lines."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [{"offset": 12}]})
    offset: int
    """How many lines there are now."""


class SourceAnswer(BaseModel):
    """A source, and whether it starts tasks."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [_SOURCE]})
    id: str
    """Unique."""
    description: str
    """For people."""
    state: str
    """`open`, `paused`, `draining` or `drained`."""
    paused_by: str | None
    """`command` or `configuration`; null while it is open."""


class SourceAnswers(BaseModel):
    """Those that the credential may see."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, json_schema_extra={"examples": [{"sources": [_SOURCE]}]}
    )
    sources: tuple[SourceAnswer, ...]
    """In the order of the configuration."""


class WorkerAnswer(BaseModel):
    """What carries the tasks of a source out."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [_WORKER]})
    source: str
    """Which it serves."""
    state: str
    """`serving`, `unavailable`, `paused`, `draining`, `drained`, `stopped`, or `unserved` while no daemon serves it."""
    why: str | None
    """Why it does not serve."""
    task_id: str | None
    """What it works on; null also where the policy is limited."""


class RemoteClaimAnswer(BaseModel):
    """What a worker that claims tasks holds."""

    model_config = ConfigDict(use_attribute_docstrings=True)
    source: str
    """Of the task."""
    task_id: str
    """Which it carries out."""
    attempt: int
    """Which one of the task."""
    lease_expires_at: datetime
    """If nothing more is heard of it."""
    progress_percent: float | None
    """As it said last."""
    step: str | None
    """What it does, as it said last."""
    last_frame_at: datetime | None
    """When its agent last said anything."""


class RemoteWorkerAnswer(BaseModel):
    """A worker that claims tasks through the API, for as long as it holds one."""

    model_config = ConfigDict(use_attribute_docstrings=True)
    worker_id: str
    """The name of its credential."""
    last_seen: datetime
    """When it said anything last."""
    claims: tuple[RemoteClaimAnswer, ...]
    """What it holds."""


class WorkerAnswers(BaseModel):
    """Those of the sources that the credential may see."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"daemon": True, "workers": [_WORKER], "remote": [_REMOTE]}]},
    )
    daemon: bool
    """Whether it runs."""
    workers: tuple[WorkerAnswer, ...]
    """One for each source."""
    remote: tuple[RemoteWorkerAnswer, ...]
    """Those that claim tasks through the API."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """``replayed``: the idempotency key led to a task that was accepted before."""

    task: TrackedTask
    replayed: bool


@dataclass(frozen=True, slots=True)
class TaskText:
    """``etag`` is for a change of this very text."""

    text: str
    etag: str


@dataclass(frozen=True, slots=True)
class TranscriptLines:
    """Whole lines of one attempt; go on at ``next_offset`` (bytes)."""

    data: bytes
    next_offset: int
    attempt: int
