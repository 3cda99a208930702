"""Answers that only the API gives; those that commands give, too, are in ``app``. Server and clients share them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from task_queue.app.tracked_task import TrackedTask


class BulkAnswer(BaseModel):
    id: str
    status: str
    """What the task was before."""
    done: bool
    problem: dict[str, Any] | None = None


class BulkAnswers(BaseModel):
    dry_run: bool
    tasks: tuple[BulkAnswer, ...]


class EventAnswer(BaseModel):
    cursor: str
    at: str
    type: str
    source: str | None
    task_id: str | None
    attempt: int | None
    data: dict[str, Any]


class EventPage(BaseModel):
    """Events in their order; go on after `cursor`."""

    events: tuple[EventAnswer, ...]
    cursor: str | None
    more: bool


class FramesAnswer(BaseModel):
    offset: int
    """How many lines there are now."""


class SourceAnswer(BaseModel):
    id: str
    description: str
    state: str
    """`open`, `paused`, `draining` or `drained`."""
    paused_by: str | None


class SourceAnswers(BaseModel):
    sources: tuple[SourceAnswer, ...]


class WorkerAnswer(BaseModel):
    source: str
    state: str
    why: str | None
    task_id: str | None


class RemoteClaimAnswer(BaseModel):
    """What a worker that claims tasks holds."""

    source: str
    task_id: str
    attempt: int
    lease_expires_at: datetime
    progress_percent: float | None
    step: str | None
    last_frame_at: datetime | None
    """When its agent last said anything."""


class RemoteWorkerAnswer(BaseModel):
    """A worker that claims tasks through the API, for as long as it holds one."""

    worker_id: str
    last_seen: datetime
    claims: tuple[RemoteClaimAnswer, ...]


class WorkerAnswers(BaseModel):
    daemon: bool
    workers: tuple[WorkerAnswer, ...]
    remote: tuple[RemoteWorkerAnswer, ...]


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
