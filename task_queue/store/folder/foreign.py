"""Locks in ``pending/`` that are not the queue's claims: those of the original system, and broken ones."""

from __future__ import annotations

from pathlib import Path

from task_queue.platform import identity
from task_queue.platform.json_files import json_object, whole_in

_ORIGINAL_KEYS = frozenset({"task_id", "worker", "thread_id", "pid", "started_at"})
_LIMIT = 64 * 1024


def is_stale_foreign_lock(path: Path) -> bool:
    """Whether *path* is a five-key lock of the original system whose pid is not a live task-queue daemon.

    Such a lock proves nothing: the original never removed it when a task failed.
    """
    content = json_object(path, limit=_LIMIT)
    if not isinstance(content, dict) or frozenset(content) != _ORIGINAL_KEYS:
        return False
    return not _is_task_queue_daemon(whole_in(content, "pid") or 0)


def _is_task_queue_daemon(pid: int) -> bool:
    if pid <= 0 or identity.identity_of(pid) is None:
        return False
    try:
        command = (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False
    return b"task_queue" in command or b"task-queue" in command
