"""Which tasks of a source run or will be tried again: their files elsewhere are still needed."""

from __future__ import annotations

from pathlib import Path

from task_queue.domain.document.naming import key_of
from task_queue.domain.task import TaskId
from task_queue.platform.json_files import json_object, text_in

_LIMIT = 2**20


def unfinished_in(pending: Path) -> frozenset[str]:
    """What their folders are called (``naming.key_of``). Raises OSError or ValueError where that cannot be read."""
    found: set[str] = set()
    # Locks first: one that is given back meanwhile has a journal before its lock goes.
    for pattern in (".task-*.lock", ".task-*.attempts.json"):
        for path in pending.glob(pattern):
            record = json_object(path, limit=_LIMIT)
            if record is None:
                continue  # ended meanwhile
            if isinstance(record, str):
                raise ValueError(f"{path} {record}")  # noqa: TRY004 - what a file says, not what code does
            task_id = text_in(record, "task_id")
            if task_id is None:
                raise ValueError(f"{path} names no task")
            found.add(key_of(TaskId(task_id)))
    return frozenset(found)
