"""The seam to the tasks of all sources that have a ``dedupe_key``."""

from __future__ import annotations

from typing import Protocol

from task_queue.domain.task import TaskId


class Dedupe(Protocol):
    """What a worker says of the tasks of its source, and asks before it starts one. Thread-safe.

    Ids are those of the documents as they were dropped. Tasks without a key may be named; nothing is done for them.
    """

    def seen(self, source: str) -> None:
        """*source* was looked at, or cannot be: the others need not wait for that."""
        ...

    def start(self, source: str, task_id: TaskId) -> str | None:
        """Count the task as running until ``stop`` or ``end``; or say why it may not start."""
        ...

    def stop(self, source: str, task_id: TaskId) -> None:
        """It does not run any more; it waits again, unless it has ended."""
        ...

    def end(self, source: str, task_id: TaskId) -> None:
        """It has ended, or is about to without having run."""
        ...
