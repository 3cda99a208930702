"""Finished checkouts are kept for a while, then removed: never one with work in it that is nowhere else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.domain.work.worktrees import Idle, Keep, overdue
from task_queue.git.program import Git
from task_queue.git.records import checkouts_in, record_of
from task_queue.git.removal import remove
from task_queue.git.scratch_checkout import discard_forgotten
from task_queue.git.worktree import admin_folder, listed

_TOUCHED_BY_WORK = ("index", "HEAD", "logs/HEAD")
"""Of a repository, and of the owner's part of it; our looking at them leaves them alone."""


def tidy(
    git: Git, folder: Path, *, keep: Keep, unfinished: Collection[str], now: datetime
) -> tuple[Path, ...]:
    """Remove what *keep* lets go of the repository's checkouts directly in *folder*; which went.

    Those whose name is in *unfinished* neither go nor count. Throw-away checkouts that a killed attempt left
    go at once. Raises GitError.
    """
    folder = Path(os.path.realpath(folder))
    discard_forgotten(git, folder, unfinished=unfinished)
    trees = [
        Idle(tree.directory, _idle_since(git, tree.directory, now))
        for tree in listed(git)
        if tree.directory.parent == folder and tree.directory.name not in unfinished
    ]
    return tuple(
        tree.directory
        for tree in overdue(trees, keep, now=now)
        if remove(git, tree.directory) is None and not tree.directory.exists()
    )


def repositories_in(folder: Path, environment: Mapping[str, str]) -> tuple[Git, ...]:
    """Git in the root of each repository that has a checkout directly in *folder*. Raises GitError."""
    owners: dict[Path, Git] = {}
    with contextlib.suppress(FileNotFoundError):
        for directory in sorted({*folder.iterdir(), *checkouts_in(folder)}):
            owner = _owner_of(directory, environment)
            if owner is not None:
                owners.setdefault(owner, Git(owner, environment))
    return tuple(owners.values())


def _owner_of(directory: Path, environment: Mapping[str, str]) -> Path | None:
    record = record_of(directory)
    if record is not None:
        return record.repository
    if (directory / ".git").is_file():  # of an earlier release
        return listed(Git(directory, environment))[0].directory
    return None


def _idle_since(git: Git, directory: Path, now: datetime) -> datetime:
    """*now* where nothing can be seen of it: then it is not old."""
    seen: list[float] = []
    with contextlib.suppress(OSError, GitError):
        seen.append(directory.stat().st_mtime)
        for part in (admin_folder(git, directory), directory / ".git"):
            for name in _TOUCHED_BY_WORK:
                with contextlib.suppress(OSError):
                    seen.append((part / name).stat().st_mtime)
    return datetime.fromtimestamp(max(seen), UTC) if seen else now
