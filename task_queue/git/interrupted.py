"""Which attempts work in a working tree: a note of each in its part of the repository, gone when it ends.

A note whose author is dead says that the changes there are a killed attempt's: it could not keep them itself, so
they are kept before another attempt begins there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import Checkpoint, checkpoint_at
from task_queue.git.leftovers import keep_leftovers
from task_queue.git.made import dirty_work
from task_queue.git.program import Git
from task_queue.git.repository import Repository, commit_of
from task_queue.platform import durable, identity
from task_queue.platform.identity import ProcessIdentity
from task_queue.platform.records import UnreadableRecordError, decode, encode

_FOLDER = "task-queue-at-work"
_LIMIT = 2**16
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class WorkInProgress:
    """One attempt, while it works."""

    task_id: TaskId
    checkpoint: str
    """The commit that its changes are compared with."""
    runner: ProcessIdentity


def record_start(repository: Repository, task_id: TaskId, since: Checkpoint) -> None:
    """Note that *task_id* works here, in this process. Raises GitError."""
    path = _path(repository, task_id)
    try:
        durable.make_directory(path.parent)
        durable.replace(path, encode(WorkInProgress(task_id, since.commit, identity.own_identity())))
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make room, or the repository writable") from error


def record_end(repository: Repository, task_id: TaskId) -> None:
    """What it left is committed, or kept, or is for its next attempt."""
    with contextlib.suppress(OSError):  # the next one finds it, and keeps what is kept already
        durable.remove(_path(repository, task_id))


def keep_interrupted_work(
    git: Git, repository: Repository, *, but: TaskId | None, apart: bool
) -> tuple[str, ...]:
    """Keep what killed attempts left here uncommitted; one sentence for each. Raises GitError.

    *but* is a task that goes on where it was. *apart*: nothing else works here, so it is the task's own.
    """
    notes: list[str] = []
    for path in sorted((repository.git_dir / _FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, UnreadableRecordError):  # gone meanwhile, or not ours to understand
            data, _ = durable.read_regular(path, limit=_LIMIT)
            at_work = decode(WorkInProgress, data)
            if at_work.task_id == but or identity.is_alive(at_work.runner):
                continue
            sentence = _keep(git, repository, at_work, apart=apart)
            if sentence is not None:
                notes.append(sentence)
            durable.remove(path)
    return tuple(notes)


def _keep(git: Git, repository: Repository, at_work: WorkInProgress, *, apart: bool) -> str | None:
    there = git.at(repository.root)
    uncommitted = {dirty.path for dirty in dirty_work(there, repository.git_dir)}
    if not uncommitted or commit_of(there, at_work.checkpoint) is None:
        return None
    since = checkpoint_at(there, at_work.checkpoint)
    kept = keep_leftovers(there, repository, task_id=at_work.task_id, since=since, own_only=apart)
    left = [] if kept is None else [path for path in kept.paths if path in uncommitted]
    if kept is None or not left:
        return None
    more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
    return (
        f"{at_work.task_id}, whose runner died, had left changes here: {', '.join(left[:_MOST_NAMED])}{more};"
        f" they are kept on {kept.ref}; see them with: {kept.show_command(repository.root)}"
    )


def _path(repository: Repository, task_id: TaskId) -> Path:
    return repository.git_dir / _FOLDER / f"{key_of(task_id)}.json"
