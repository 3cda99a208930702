"""Which waiting task comes next, and why each of the others waits. Pure: time and states are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from task_queue.domain.model import TaskId


@dataclass(frozen=True, slots=True)
class Waiting:
    """What ordering needs to know of a waiting task; small, because there may be 100,000 of them."""

    id: TaskId
    dropped_at: datetime
    """The time in the name, else the file's mtime."""
    title: str = ""
    priority: int = 5
    not_before: datetime | None = None
    """The later of the task's own ``not_before`` and its next try."""
    depends_on: tuple[TaskId, ...] = ()
    on_dependency_failure: str = "block"
    dedupe_key: str | None = None
    capabilities: tuple[str, ...] = ()
