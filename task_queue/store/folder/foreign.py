"""Locks in ``pending/`` that are not the queue's claims: those of the original system, and broken ones."""

from __future__ import annotations

import json
from pathlib import Path

from task_queue.platform import durable, identity

_ORIGINAL_KEYS = frozenset({"task_id", "worker", "thread_id", "pid", "started_at"})
_LIMIT = 64 * 1024


def is_stale_foreign_lock(path: Path) -> bool:
    """Whether *path* is a five-key lock of the original system whose pid is not a live task-queue daemon.

    Such a lock proves nothing: the original never removed it when a task failed.
    """
    try:
        content: object = json.loads(durable.read_regular(path, limit=_LIMIT)[0])
    except (OSError, ValueError):
        return False
    if not isinstance(content, dict) or frozenset(content) != _ORIGINAL_KEYS:  # pyright: ignore[reportUnknownArgumentType] # any JSON object
        return False
    pid: object = content["pid"]  # pyright: ignore[reportUnknownVariableType] # checked below
    return not (isinstance(pid, int) and pid > 0 and _is_task_queue_daemon(pid))


def _is_task_queue_daemon(pid: int) -> bool:
    if identity.identity_of(pid) is None:
        return False
    try:
        command = (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False
    return b"task_queue" in command or b"task-queue" in command
