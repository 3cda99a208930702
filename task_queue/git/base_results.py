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
from task_queue.platform.lockfile import locked
from task_queue.platform.records import UnreadableRecordError, decode, encode

_NAME = "task-queue-checks.json"
_LIMIT = 2**22
_KEPT = 300
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Kept:
    results: tuple[BaseResult, ...] = ()


def base_results(git: Git) -> tuple[BaseResult, ...]:
    """Oldest first; *git* is in the owner's repository. Raises GitError."""
    return _read(paths_of(git).common_dir / _NAME)


def keep_base_results(git: Git, new: Iterable[BaseResult]) -> None:
    """Add *new*, and drop the oldest beyond what is kept. Raises GitError.

    What cannot be written is not kept: its checks are made again.
    """
    path = paths_of(git).common_dir / _NAME
    with suppress(OSError), locked(path.with_suffix(".lock"), within_s=_PATIENCE_S):
        durable.replace(path, encode(_Kept((*_read(path), *new)[-_KEPT:])))


def _read(path: Path) -> tuple[BaseResult, ...]:
    with suppress(OSError, UnreadableRecordError):
        return decode(_Kept, durable.read_regular(path, limit=_LIMIT)[0]).results
    return ()
