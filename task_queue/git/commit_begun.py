"""Where HEAD was when the queue began to make a task's commit: what an agent committed is below, never above.

Kept in the part of the repository that the agent's git does not use, and forgotten before an agent runs again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.git.repository import Repository
from task_queue.platform import durable
from task_queue.platform.records import UnreadableRecordError, decode, encode

_NAME = "task-queue-commit.json"
_LIMIT = 2**20


@dataclass(frozen=True, slots=True)
class _Begun:
    head: str | None
    marks: dict[str, str] = field(default_factory=dict[str, str])
    """Which commit of which task it is."""


def begin_commit(repository: Repository, marks: Mapping[str, str], *, head: str | None) -> str | None:
    """The commit on which the one with *marks* is made: *head*, unless an earlier call said so before.

    None: it is the first commit. Raises GitError.
    """
    path = repository.git_dir / _NAME
    begun = _read(path)
    if begun is not None and begun.marks == marks:
        return begun.head
    try:
        durable.replace(path, encode(_Begun(head, dict(marks))))
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make room, or the repository writable") from error
    return head


def forget_begun_commit(repository: Repository) -> None:
    """An agent is about to run. Raises GitError, because it could then pass its commit off as the queue's."""
    path = repository.git_dir / _NAME
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make the repository writable") from error


def _read(path: Path) -> _Begun | None:
    with suppress(OSError, UnreadableRecordError):
        return decode(_Begun, durable.read_regular(path, limit=_LIMIT)[0])
    return None
