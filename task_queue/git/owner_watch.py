"""Looks at the owner's repository before and after an agent runs, for one attempt.

For the process that carries it out, and for the one that finds that process dead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import GitError
from task_queue.domain.model import WorkProduct
from task_queue.domain.task import TaskId
from task_queue.domain.work.repository_changes import RepositoryChange, sentences
from task_queue.git.guarding import disarmed
from task_queue.git.own_repository import paths_of
from task_queue.git.owner_state import (
    OwnerPlace,
    OwnerRecord,
    changes_since,
    keep_owner_record,
    owner_record,
    state_of,
)
from task_queue.git.program import Git


class OwnerWatch:
    """Nothing is seen where it was not opened: the workspace is not in a git repository."""

    def __init__(self) -> None:
        self._place: OwnerPlace | None = None
        self._key = ""
        self._record = OwnerRecord()
        self._now: tuple[RepositoryChange, ...] = ()

    def open(
        self,
        git: Git,
        task_id: TaskId,
        *,
        worktrees: Path,
        queue_dirs: Iterable[Path],
        work_in_place: bool,
    ) -> None:
        """Find what earlier attempts left to compare with. Raises GitError.

        *git* is in the root of the owner's working tree, *worktrees* where the source's checkouts are.
        """
        where = paths_of(git.unguarded())  # hooks where they are now
        folders = tuple(folder.resolve() for folder in queue_dirs)
        self._place = OwnerPlace(git, where.common_dir, where.hooks, folders, work_in_place=work_in_place)
        # Sources may have tasks of the same id.
        source = sha256(str(worktrees).encode()).hexdigest()[:12]
        self._key = f"{key_of(task_id)}.{source}"
        self._record = owner_record(self._place, self._key)

    def begin(self) -> None:
        """An agent is about to run; the first look is kept until the attempt ends. Raises GitError."""
        if self._place is not None and self._record.before is None:
            self._record = OwnerRecord(state_of(self._place), self._record.found)
            keep_owner_record(self._place, self._key, self._record)

    def look(self) -> None:
        """The agent has ended."""
        if self._place is not None and self._record.before is not None:
            self._now = changes_since(self._place, self._record.before)

    def close(self, *, done: bool) -> None:
        """The attempt ends; what it found is kept for the result of the next one, unless the task is *done*."""
        if self._place is None:
            return
        kept = OwnerRecord() if done else OwnerRecord(None, self.changes)
        with contextlib.suppress(GitError):  # the next attempt compares with what was before this one
            keep_owner_record(self._place, self._key, kept)

    @property
    def changes(self) -> tuple[RepositoryChange, ...]:
        """Of all attempts."""
        return tuple(dict.fromkeys((*self._record.found, *self._now)))

    @property
    def urgent(self) -> tuple[RepositoryChange, ...]:
        return tuple(change for change in self.changes if change.is_urgent)

    @property
    def notes(self) -> tuple[str, ...]:
        if self._place is None:
            return ()
        left = disarmed(self._place.git)
        return (*sentences(self.changes, str(self._place.root)), *((left,) if left else ()))

    def said_in(self, product: WorkProduct) -> WorkProduct:
        """*product* with what was found; the same object where that is nothing."""
        if not self.changes:
            return product
        urgent = tuple(dict.fromkeys((*product.repository_changes, *self.urgent)))
        return replace(product, notes=(*product.notes, *self.notes), repository_changes=urgent)
