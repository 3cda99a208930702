"""``worktrees``: the checkouts of tasks that are kept, and why; those that nothing needs are removed by hand here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from task_queue.app.answers import ListedSource
from task_queue.app.finding import state_of
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.config.environment import agent_environment
from task_queue.config.schema import Agent
from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import GitError, TaskQueueError
from task_queue.domain.task import TaskId
from task_queue.git.guarding import guarded
from task_queue.git.kept_set_ups import KeptSetUp, KeptSetUps
from task_queue.git.program import Git
from task_queue.git.put_away import put_away_from
from task_queue.git.removal import KeptCheckout, kept_checkouts, remove
from task_queue.store.folder.unfinished import unfinished_in


@dataclass(frozen=True, slots=True)
class WorktreeLine:
    """One checkout that is kept."""

    task_id: str
    source: str
    state: str | None
    """Of the task; None where there is no such task any more."""
    branch: str | None
    path: Path
    size_bytes: int
    last_used: datetime | None
    why_kept: str | None
    """None: it may go."""


@dataclass(frozen=True, slots=True)
class SetUpLine:
    """What set-up commands made once, and later checkouts get copies of."""

    source: str
    commands: tuple[str, ...]
    commit: str
    made_at: datetime
    last_used: datetime
    size_bytes: int
    path: Path
    not_kept: str | None
    """Why nothing is kept of it; None: it is kept."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning removed, or would remove, and what it kept."""

    removed: tuple[WorktreeLine, ...]
    kept: tuple[WorktreeLine, ...]
    set_ups: tuple[SetUpLine, ...] = ()
    """Removed, too: the next checkout runs the commands again."""


def worktrees(installation: Installation, source_id: str | None = None) -> tuple[WorktreeLine, ...]:
    """Every checkout that is kept, by source and task. Raises TaskQueueError for an unknown source."""
    sources = installation.sources()
    return tuple(
        _line(sources, source.id, kept)
        for source in installation.sources(source_id)
        for kept in _kept_in(installation, source)
    )


def kept_set_ups(installation: Installation, source_id: str | None = None) -> tuple[SetUpLine, ...]:
    """What set-up made and is kept, by source, the newest first. Raises TaskQueueError for an unknown source."""
    found: list[SetUpLine] = []
    for source in installation.sources(source_id):
        store = KeptSetUps(installation.locations.set_ups / source.id)
        found += [_set_up_line(store, source.id, kept) for kept in store.all()]
    return tuple(found)


def _set_up_line(store: KeptSetUps, source: str, kept: KeptSetUp) -> SetUpLine:
    return SetUpLine(
        source,
        kept.commands,
        kept.commit,
        kept.made_at,
        store.used_at(kept),
        kept.size_bytes,
        store.files_of(kept),
        kept.refused or None,
    )


def path_of_worktree(installation: Installation, task_id: TaskId) -> Path:
    """The directory of the task's checkout. Raises TaskQueueError where it has none."""
    for source in installation.sources():
        directory = installation.locations.worktrees / source.id / key_of(task_id)
        if directory.is_dir():
            return directory
        away = put_away_from(directory)
        if away is not None:
            hint = f"its commits are on the branch {away.branch}; what was uncommitted comes back with: tasks retry"
            raise TaskQueueError(f"the checkout of task {task_id} was removed", hint=hint)
    hint = "see those that are kept with: task-queue worktrees list"
    raise TaskQueueError(f"task {task_id} has no checkout", hint=hint)


def prune(installation: Installation, *, source_id: str | None = None, dry_run: bool = False) -> Pruned:
    """Remove every checkout without which nothing would be lost; *dry_run*: only say which.

    Raises TaskQueueError for an unknown source, ConfigError.
    """
    installation.demand_trust()
    sources = installation.sources()
    trusted = installation.locations.trusted_programs
    removed: list[WorktreeLine] = []
    kept: list[WorktreeLine] = []
    for source in installation.sources(source_id):
        for checkout in _kept_in(installation, source):
            why = checkout.why_kept or _why_not_removed(checkout, trusted, dry_run)
            line = _line(sources, source.id, checkout, why)
            (removed if line.why_kept is None else kept).append(line)
    set_ups = kept_set_ups(installation, source_id)
    if not dry_run:
        for source in installation.sources(source_id):
            store = KeptSetUps(installation.locations.set_ups / source.id)
            for set_up in tuple(store.all()):
                store.remove(set_up)
    if (removed or set_ups) and not dry_run:
        record_action(installation, "worktrees prune")
    return Pruned(tuple(removed), tuple(kept), set_ups)


def _why_not_removed(checkout: KeptCheckout, trusted: Path, dry_run: bool) -> str | None:
    if dry_run:
        return None
    try:
        return remove(guarded(_git(checkout.repository), trusted), checkout.directory)
    except GitError as error:
        return str(error)


def _kept_in(installation: Installation, source: ListedSource) -> tuple[KeptCheckout, ...]:
    folder = installation.locations.worktrees / source.id
    if not folder.is_dir():
        return ()
    try:
        unfinished = unfinished_in(source.folders.pending)
    except (OSError, ValueError) as error:
        raise TaskQueueError(f"source '{source.id}': {error}", hint="see: task-queue doctor") from error
    trusted = installation.locations.trusted_programs
    return kept_checkouts(folder, _git(folder), trusted=trusted, unfinished=unfinished)


def _line(
    sources: Sequence[ListedSource], source: str, kept: KeptCheckout, why_kept: str | None = None
) -> WorktreeLine:
    found = state_of(sources, TaskId(kept.task_id))
    return WorktreeLine(
        kept.task_id,
        source,
        found[1].value if found else None,
        kept.branch,
        kept.directory,
        kept.size_bytes,
        kept.last_used,
        why_kept or kept.why_kept,
    )


def _git(directory: Path) -> Git:
    return Git(directory, agent_environment(Agent(), os.environ))
