"""What tools answer: short enough for a conversation, with links to what is longer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from task_queue.app.event_feed import LoggedEvent
from task_queue.app.tracked_task import NeedView, TaskPage, TaskStatus, TrackedTask

_LONGEST = 2000
_MOST_CHARACTERS_OF_EVENT = 1000
FILES = ("document", "report", "result", "transcript")


@dataclass(eq=False, repr=False, slots=True)
class TaskSummary:
    id: str
    source: str
    status: TaskStatus
    title: str
    priority: int
    created_at: datetime
    queue_position: int | None = None
    why: str | None = None
    """Why it does not run yet."""
    current_step: str | None = None
    outcome: str | None = None
    error: str | None = None
    cost_usd: float | None = None
    dead_letter: bool = False
    cancel_requested: bool = False
    available_actions: tuple[str, ...] = ()
    submitted_by: str | None = None


@dataclass(eq=False, repr=False, slots=True)
class AddedAnswer:
    task: TaskSummary
    deduplicated: bool
    """The task was there before, and nothing was added."""


@dataclass(eq=False, repr=False, slots=True)
class ListAnswer:
    tasks: tuple[TaskSummary, ...]
    counts: dict[str, int]
    """Of all that match, by status."""
    cursor: str | None
    """Leads to what follows; null at the end."""


@dataclass(eq=False, repr=False, slots=True)
class TaskAnswer:
    task: TaskSummary
    type: str
    executor: str
    attempt: int
    max_attempts: int
    started_at: datetime | None
    completed_at: datetime | None
    next_attempt_at: datetime | None
    labels: dict[str, Any]
    attention: tuple[NeedView, ...]
    """What needs a person, and the command that settles it."""
    output: str | None
    """The end of what the agent said last; the report has all of it."""
    branch: str | None
    landed: str | None
    """What became of the branch."""
    files: dict[str, str] = field(default_factory=dict[str, str])
    """Resources of this server, by what they are."""


@dataclass(eq=False, repr=False, slots=True)
class ChangedAnswer:
    task: TaskSummary
    said: str


@dataclass(eq=False, repr=False, slots=True)
class EventLine:
    cursor: str
    at: datetime
    type: str
    source: str | None
    task_id: str | None
    attempt: int | None
    data: dict[str, Any]


@dataclass(eq=False, repr=False, slots=True)
class EventsAnswer:
    events: tuple[EventLine, ...]
    cursor: str | None
    """Go on after it."""
    more: bool


def summary_of(task: TrackedTask) -> TaskSummary:
    return TaskSummary(
        id=task.id,
        source=task.source,
        status=task.status,
        title=cut(task.title, 200),
        priority=task.priority,
        created_at=task.created_at,
        queue_position=task.queue_position,
        why=task.why,
        current_step=task.current_step,
        outcome=task.outcome,
        error=None if task.error is None else cut(task.error, 500),
        cost_usd=task.cost_usd,
        dead_letter=task.dead_letter,
        cancel_requested=task.cancel_requested,
        available_actions=tuple(action for action in task.available_actions if action in {"cancel", "retry"}),
        submitted_by=task.submitted_by,
    )


def page_of(page: TaskPage) -> ListAnswer:
    return ListAnswer(tuple(map(summary_of, page.tasks)), dict(page.counts), page.cursor)


def whole_of(task: TrackedTask) -> TaskAnswer:
    result: Mapping[str, Any] = task.result or {}
    ended = task.result is not None
    files = [name for name in FILES if (ended or name not in {"report", "result"}) and _is_there(task, name)]
    return TaskAnswer(
        task=summary_of(task),
        type=task.type,
        executor=task.executor,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        started_at=task.started_at,
        completed_at=task.completed_at,
        next_attempt_at=task.next_attempt_at,
        labels=task.labels,
        attention=task.attention,
        output=_end_of(result.get("output")),
        branch=_text(result.get("branch")),
        landed=_text(result.get("landed")),
        files={name: f"task-queue://tasks/{task.id}/{name}" for name in files},
    )


def line_of(event: LoggedEvent) -> EventLine:
    data = {name: _short(value) for name, value in event.data.items()}
    return EventLine(event.cursor, event.at, event.type, event.source, event.task_id, event.attempt, data)


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _is_there(task: TrackedTask, name: str) -> bool:
    return name != "transcript" or task.attempt > 0


def _end_of(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= _LONGEST else f"…{value[1 - _LONGEST :]}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _short(value: object) -> object:
    if isinstance(value, str):
        return cut(value, _MOST_CHARACTERS_OF_EVENT)
    return value if len(repr(value)) <= _MOST_CHARACTERS_OF_EVENT else "…"
