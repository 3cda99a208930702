"""What a task is, and where it stands. Apart from the other nouns, because reading commands need no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType

TaskId = NewType("TaskId", str)
"""A document's file name without ``.md``; as a record's id it may carry a number (``task-a.2``)."""


class TaskState(StrEnum):
    """Derived from the folder that the document is in; stored nowhere."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = (TaskState.COMPLETED, TaskState.FAILED)
"""Nothing more happens to a task in one of these by itself."""


@dataclass(frozen=True, slots=True)
class Task:
    """One instruction: a Markdown document and what it parses to.

    ``given`` holds only the front-matter keys that the document sets, already parsed.
    """

    id: TaskId
    title: str
    body: str
    given: dict[str, Any]
    sha256: str
    lines: dict[str, int] = field(default_factory=dict[str, int])
    """Where the document has a key of ``given``, and an item of a list as ``key: item``; 1-based."""
