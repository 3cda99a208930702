"""The settings of a task: the front-matter keys, their types, defaults and readers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from task_queue.domain.model import TaskId


@dataclass(frozen=True, slots=True)
class Settings:
    """What applies to one task after the document, its source and the configuration were laid over each other."""

    title: str | None = None
    priority: int = 5
    type: str = "general"
    depends_on: tuple[TaskId, ...] = ()
    not_before: datetime | None = None
    timeout: timedelta = timedelta(hours=2)
    idle_timeout: timedelta = timedelta(minutes=15)
    max_attempts: int = 3
    retry_delay: timedelta = timedelta(seconds=30)
    max_turns: int = 200
    max_budget_usd: float | None = None
    model: str | None = None
    fallback_model: str | None = None
    effort: str | None = None
    workflow: str = "audited"
    max_iterations: int = 3
    verify: tuple[str, ...] = ()
    workspace: str | None = None
    isolation: str = "none"
    permissions: str = "guarded"
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    on_dependency_failure: str = "block"
    on_lost_session: str = "review"
    landing: str = "branch"
    dedupe_key: str | None = None
    executor: str = "claude"
