"""Which tasks of a source run or will be tried again: their files elsewhere are still needed."""

from __future__ import annotations

import json
from pathlib import Path

from task_queue.domain.document.naming import key_of
from task_queue.domain.task import TaskId
from task_queue.platform.durable import read_regular

_LIMIT = 2**20


def unfinished_in(pending: Path) -> frozenset[str]:
    """What their folders are called (``naming.key_of``). Raises OSError or ValueError where that cannot be read."""
    found: set[str] = set()
    # Locks first: one that is given back meanwhile has a journal before its lock goes.
    for pattern in (".task-*.lock", ".task-*.attempts.json"):
        for path in pending.glob(pattern):
            try:
                data, _ = read_regular(path, limit=_LIMIT)
            except FileNotFoundError:
                continue  # ended meanwhile
            found.add(key_of(TaskId(_task_id_in(data, path))))
    return frozenset(found)


def _task_id_in(data: bytes, path: Path) -> str:
    record: object = json.loads(data)
    task_id = record.get("task_id") if isinstance(record, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] # JSON
    if not isinstance(task_id, str):
        raise ValueError(f"{path} names no task")  # noqa: TRY004 - what a file says, not what code does
    return task_id
