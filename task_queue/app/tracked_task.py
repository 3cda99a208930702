"""A task in the words of a job queue, and what a list of such tasks may be limited to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from task_queue.app.answers import EstimateView
from task_queue.domain.actions import Action
from task_queue.domain.task import TaskId, TaskState

DOCUMENTED: dict[str, Any] = {"use_attribute_docstrings": True}


_EXAMPLE: dict[str, Any] = {
    "id": "task-20260207-120000-fix-login",
    "source": "ad-hoc",
    "status": "queued",
    "title": "Fix the login",
    "priority": 5,
    "type": "general",
    "executor": "claude",
    "capabilities": [],
    "created_at": "2026-02-07T12:00:00+00:00",
    "updated_at": "2026-02-07T12:00:00+00:00",
    "submitted_by": "ci",
    "labels": {"team": "web"},
    "queue_position": 2,
    "ahead": 1,
    "why": "behind 1 other",
    "max_attempts": 3,
    "available_actions": ["cancel", "edit", "priority", "move", "rm"],
}


class TaskStatus(StrEnum):
    """Where a task is, in the words of a job queue."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(eq=False, repr=False, slots=True)
class NeedView:
    """Something of a task that needs a person, and the command that settles it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    kind: str
    """For programs, as `docs/outcomes.md` lists them."""
    sentence: str
    """For people."""
    command: str
    """What settles it, or shows what there is to decide."""


@dataclass(eq=False, repr=False, slots=True)
class TrackedTask:
    """A task as it stands now."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        **DOCUMENTED,
        "json_schema_extra": {"examples": [_EXAMPLE]},
    }
    id: TaskId
    """Unique over all sources."""
    source: str
    """Where it waits, runs or ended."""
    status: TaskStatus
    """In the words of a job queue."""
    title: str
    """The first line of its text, or what its document calls it."""
    priority: int
    """10 is the most urgent, 1 the least."""
    type: str
    """Of work."""
    executor: str
    """What carries it out."""
    capabilities: tuple[str, ...]
    """What it asks for of who carries it out."""
    created_at: datetime
    """When it was handed in."""
    updated_at: datetime
    """When it last changed."""
    submitted_by: str | None = None
    """The name of the credential with which it was handed in."""
    labels: dict[str, Any] = field(default_factory=dict[str, Any])
    """As they were handed in."""
    queue_position: int | None = None
    """Among the queued tasks of its source, 1 starts next; null where it is not queued, or the order is not known."""
    ahead: int | None = None
    """How many tasks of its source go before it, with those that run."""
    why: str | None = None
    """Why it does not run yet."""
    progress_percent: float | None = None
    """Null where it is not known, 100 only once it is completed; never falls while one attempt runs."""
    current_step: str | None = None
    """The phase that runs, in words."""
    started_at: datetime | None = None
    """Of its last attempt."""
    completed_at: datetime | None = None
    """Null before it has ended."""
    attempt: int = 0
    """The last one that began; 0 before the first."""
    max_attempts: int = 1
    """After so many it fails for good."""
    next_attempt_at: datetime | None = None
    """Not before; null where nothing delays it."""
    estimated_start_at: datetime | None = None
    """Null where it cannot be foreseen, and in lists."""
    estimated_completion_at: datetime | None = None
    """The same."""
    estimate: EstimateView | None = None
    """How long it is expected to take while it waits; null in lists."""
    cancel_requested: bool = False
    """It is to end, and may still be running."""
    outcome: str | None = None
    """How it ended; null before."""
    dead_letter: bool = False
    """It failed with all its attempts used up."""
    error: str | None = None
    """Why it did not succeed, in one line."""
    cost_usd: float | None = None
    """Of all attempts; while it runs, an estimate."""
    attention: tuple[NeedView, ...] = ()
    """What of it needs a person."""
    available_actions: tuple[Action, ...] = ()
    """What works on it now; everything else is answered with 409."""
    result: dict[str, Any] | None = None
    """The whole result of a task that has ended; null in lists."""
    links: dict[str, str] = field(default_factory=dict[str, str])
    """Paths of what belongs to it."""

    @property
    def state(self) -> TaskState:
        match self.status:
            case TaskStatus.QUEUED:
                return TaskState.PENDING
            case TaskStatus.CANCELLED:
                return TaskState.FAILED
            case _:
                return TaskState(self.status.value)


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a list is limited to; None and empty: not limited by that."""

    statuses: tuple[str, ...] = ()
    """Of ``TaskStatus``, or ``dead_letter``."""
    sources: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    executors: tuple[str, ...] = ()
    capability: str | None = None
    submitted_by: str | None = None
    labels: tuple[str, ...] = ()
    """``key``, or ``key=value``."""
    attention: bool | None = None
    text: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None

    def matches(self, task: TrackedTask) -> bool:
        return (
            (not self.statuses or task.status in self.statuses or _is_dead(task, self.statuses))
            and (not self.types or task.type in self.types)
            and (not self.outcomes or task.outcome in self.outcomes)
            and (not self.executors or task.executor in self.executors)
            and (self.capability is None or self.capability in task.capabilities)
            and (self.submitted_by is None or self.submitted_by == task.submitted_by)
            and all(_has_label(task.labels, label) for label in self.labels)
            and (self.attention is None or self.attention == bool(task.attention))
            and (self.text is None or self.text.casefold() in f"{task.id}\n{task.title}".casefold())
            and (self.created_after is None or task.created_at >= self.created_after)
            and (self.created_before is None or task.created_at < self.created_before)
            and (self.updated_after is None or task.updated_at >= self.updated_after)
        )


def _is_dead(task: TrackedTask, statuses: tuple[str, ...]) -> bool:
    return task.dead_letter and "dead_letter" in statuses


def _has_label(labels: Mapping[str, Any], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    if key not in labels:
        return False
    there: object = labels[key]
    return not equals or value == (there if isinstance(there, str) else json.dumps(there))


@dataclass(eq=False, repr=False, slots=True)
class TaskPage:
    """Some of the tasks that match; `cursor` leads to what follows, null at the end."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED
    tasks: tuple[TrackedTask, ...]
    """In the order that was asked for."""
    cursor: str | None
    """For the next page; null at the end."""
    counts: dict[str, int]
    """Of all that match, by status; those of `dead_letter` are among those of `failed`."""
