"""Finished checkouts are kept for a while, then removed: never one with work in it that is nowhere else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from task_queue.domain.work.worktrees import Idle, Keep, overdue
from task_queue.git.guarding import guarded
from task_queue.git.program import Git
from task_queue.git.put_away import forget_put_away, put_away_from, put_away_in
from task_queue.git.records import checkouts_in, record_of
from task_queue.git.removal import is_elsewhere, last_used, remove, size_of
from task_queue.git.repository import commit_of
from task_queue.git.scratch_checkout import Unfinished, discard_forgotten
from task_queue.git.worktree import listed


@dataclass(frozen=True, slots=True)
class Tidied:
    """What became of the checkouts beyond the limits."""

    removed: tuple[Path, ...] = ()
    kept: tuple[tuple[Path, str], ...] = ()
    """Each with what would be lost with it."""


def tidy(git: Git, folder: Path, *, keep: Keep, unfinished: Unfinished, now: datetime) -> Tidied:
    """Remove what *keep* lets go of the repository's checkouts directly in *folder*.

    Those whose name is in *unfinished* neither go nor count: asked after each look, or a task that begins meanwhile
    would lose its checkout. Throw-away checkouts that a killed attempt left
    go at once, as does the branch of a removed checkout once another one has its commits. Raises GitError.
    """
    folder = Path(os.path.realpath(folder))
    discard_forgotten(git, folder, unfinished=unfinished)
    _discard_landed(git, folder, unfinished=unfinished)
    there = [tree for tree in listed(git) if tree.directory.parent == folder]
    at_work = unfinished()
    trees = [
        Idle(
            tree.directory,
            last_used(git, tree.directory) or now,  # not old where nothing can be seen of it
            0 if keep.size_bytes is None else size_of(tree.directory),
        )
        for tree in there
        if tree.directory.name not in at_work
    ]
    removed: list[Path] = []
    kept: list[tuple[Path, str]] = []
    for tree in overdue(trees, keep, now=now):
        why = remove(git, tree.directory)
        if why is not None:
            kept.append((tree.directory, why))
        elif not tree.directory.exists():
            removed.append(tree.directory)
    return Tidied(tuple(removed), tuple(kept))


def repositories_in(
    folder: Path, environment: Mapping[str, str], *, trusted: Path | None = None
) -> tuple[Git, ...]:
    """Git in the root of each repository that has a checkout directly in *folder*. Raises GitError."""
    owners: dict[Path, Git] = {}
    with contextlib.suppress(FileNotFoundError):
        for directory in sorted({*folder.iterdir(), *checkouts_in(folder)}):
            owner = _owner_of(directory, environment)
            if owner is not None:
                owners.setdefault(owner, guarded(Git(owner, environment), trusted))
    return tuple(owners.values())


def _owner_of(directory: Path, environment: Mapping[str, str]) -> Path | None:
    record = record_of(directory)
    if record is not None:
        return record.repository
    if (directory / ".git").is_file():  # of an earlier release
        return listed(Git(directory, environment))[0].directory
    return None


def _discard_landed(git: Git, folder: Path, *, unfinished: Unfinished) -> None:
    """Branches that stayed when their checkout went, and are elsewhere by now; those with leftovers stay."""
    directories = tuple(put_away_in(folder))
    at_work = unfinished() if directories else ()
    for directory in directories:
        away = put_away_from(directory)
        if away is None or away.repository != git.directory or directory.name in at_work:
            continue
        tip = commit_of(git, f"refs/heads/{away.branch}")
        if tip is not None and away.leftovers is None and is_elsewhere(git, away.branch):
            git.attempt("update-ref", "-d", f"refs/heads/{away.branch}", tip)
            tip = None
        if tip is None:
            forget_put_away(directory)
