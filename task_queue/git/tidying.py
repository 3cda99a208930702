"""Finished working trees are kept for a while, then removed: never one with work in it that is nowhere else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.work.worktrees import Idle, Keep, overdue
from task_queue.git.program import Git
from task_queue.git.worktree import discard_forgotten, listed, remove

_TOUCHED_BY_WORK = ("index", "HEAD", "logs/HEAD")
"""Of a working tree's own part of the repository; our looking at it leaves them alone."""


def tidy(
    git: Git, folder: Path, *, keep: Keep, unfinished: Collection[str], now: datetime
) -> tuple[Path, ...]:
    """Remove what *keep* lets go of the repository's working trees directly in *folder*; which went.

    Those whose name is in *unfinished* neither go nor count. Throw-away checkouts that a killed attempt left
    go at once. Raises GitError.
    """
    folder = Path(os.path.realpath(folder))
    discard_forgotten(git, folder, unfinished=unfinished)
    trees = [
        Idle(tree.directory, _idle_since(tree.directory, now))
        for tree in listed(git)
        if tree.directory.parent == folder and tree.directory.name not in unfinished
    ]
    return tuple(
        tree.directory
        for tree in overdue(trees, keep, now=now)
        if remove(git, tree.directory) is None and not tree.directory.exists()
    )


def repositories_in(folder: Path, environment: Mapping[str, str]) -> tuple[Git, ...]:
    """Git in the main working tree of each repository that has one directly in *folder*. Raises GitError."""
    mains: dict[Path, Git] = {}
    with contextlib.suppress(FileNotFoundError):
        for directory in sorted(folder.iterdir()):
            if (directory / ".git").is_file():
                main = listed(Git(directory, environment))[0].directory
                mains.setdefault(main, Git(main, environment))
    return tuple(mains.values())


def _idle_since(directory: Path, now: datetime) -> datetime:
    """*now* where nothing can be seen of it: then it is not old."""
    seen: list[float] = []
    with contextlib.suppress(OSError):
        seen.append(directory.stat().st_mtime)
        own = Path((directory / ".git").read_text().removeprefix("gitdir:").strip())
        for name in _TOUCHED_BY_WORK:
            with contextlib.suppress(OSError):
                seen.append((directory / own / name).stat().st_mtime)
    return datetime.fromtimestamp(max(seen), UTC) if seen else now
