"""What the checks said of commits that tasks began on, kept in the owner's repository: ``task-queue-checks.json``.

For all sources and configurations that work with the repository. What cannot be read counts as not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.work.baseline import BaseResult
from task_queue.git.own_repository import paths_of
from task_queue.git.program import Git
from task_queue.platform import durable
from task_queue.platform.records import UnreadableRecordError, decode, encode

_NAME = "task-queue-checks.json"
_LIMIT = 2**22
_KEPT = 300


@dataclass(frozen=True, slots=True)
class _Kept:
    results: tuple[BaseResult, ...] = ()


def base_results(git: Git) -> tuple[BaseResult, ...]:
    """Oldest first; *git* is in the owner's repository. Raises GitError."""
    return _read(paths_of(git).common_dir / _NAME)


def keep_base_results(git: Git, new: Iterable[BaseResult]) -> None:
    """Add *new*, and drop the oldest beyond what is kept. Raises GitError.

    Of two processes at once one may undo the other: then its checks are made again.
    """
    path = paths_of(git).common_dir / _NAME
    with suppress(OSError):
        durable.replace(path, encode(_Kept((*_read(path), *new)[-_KEPT:])))


def _read(path: Path) -> tuple[BaseResult, ...]:
    with suppress(OSError, UnreadableRecordError):
        return decode(_Kept, durable.read_regular(path, limit=_LIMIT)[0]).results
    return ()
