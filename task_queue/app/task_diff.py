"""What a task changed, as a patch: from the commits that it left, or from the files as they are while it works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from task_queue.app.answers import ListedSource
from task_queue.app.files import Record, record, text_in, texts_in
from task_queue.app.finding import GoneError, NotThereError, document_of, found
from task_queue.app.installation import Installation
from task_queue.config.document import workspace_of
from task_queue.config.environment import agent_environment
from task_queue.config.roots import directory_named
from task_queue.config.schema import Agent
from task_queue.domain.document.naming import key_of
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import GitError, TaskFileError
from task_queue.domain.task import TaskId, TaskState
from task_queue.git.changes import changes_between
from task_queue.git.guarding import guarded
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, root_of
from task_queue.git.work_so_far import work_so_far
from task_queue.platform import durable

_LARGEST = 4 * 2**20
_PASSED_ON = ("PATH", "HOME")


@dataclass(frozen=True, slots=True)
class TaskDiff:
    """``patch`` ends with a line that says so where it was cut."""

    patch: str
    base: str
    tip: str | None
    """The last commit of the task; None: the files as they are now."""
    is_cut: bool


def diff_of(installation: Installation, task_id: TaskId) -> TaskDiff:
    """From what the work began on to the last commit of the task; while it runs, or where it ended without a

    commit and has a checkout yet, to the files as they are there.

    Raises UnknownTaskError, NotThereError where nothing was committed, GoneError where git has it no more, GitError.
    """
    listed, state = found(installation.sources(), task_id)
    if state is TaskState.PENDING:
        raise NotThereError(f"task {task_id} is {state}: it has no diff before it has begun")
    result = record(listed.folders.result(task_id)) if state.ended else None
    known = result if isinstance(result, dict) else {}
    base, commits = text_in(known, "base_commit"), texts_in(known, "commits")
    if not base or not commits:
        so_far = _so_far(installation, listed, task_id, state, known)
        if so_far is not None:
            return so_far
        why = "made no commits" if state.ended else "has changed nothing that git could show"
        raise NotThereError(f"task {task_id} {why}")
    for directory in _places(installation, listed, task_id, state, known):
        git = Git(directory, _environment(), extra={"GIT_NO_LAZY_FETCH": "1"})
        if directory.is_dir() and _has(git, base) and _has(git, commits[-1]):
            changes = changes_between(git, base, commits[-1], max_patch_bytes=_LARGEST)
            return TaskDiff(changes.patch, base, commits[-1], changes.cut)
    raise GoneError(f"the commits of task {task_id} are in its repository no more: {base}..{commits[-1]}")


def _so_far(
    installation: Installation, listed: ListedSource, task_id: TaskId, state: TaskState, result: Record
) -> TaskDiff | None:
    own = installation.locations.worktrees / listed.id / key_of(task_id)
    checkout = own if own.is_dir() else None
    if state.ended and checkout is None:
        return None
    environment = agent_environment(Agent(), os.environ)
    for directory in _places(installation, listed, task_id, state, result):
        git = guarded(Git(directory, environment), installation.locations.trusted_programs)
        root = root_of(git) if directory.is_dir() else None
        if root is None:
            continue
        work = work_so_far(git.at(root), task_id, checkout, max_patch_bytes=_LARGEST)
        if work is not None:
            return TaskDiff(work[1].patch, work[0], None, work[1].cut)
    return None


def _places(
    installation: Installation, listed: ListedSource, task_id: TaskId, state: TaskState, result: Record
) -> Iterator[Path]:
    """Where the repository may be: a checkout of the task's own is removed once it has landed."""
    base = workspace_of(installation.content, installation.entry(listed.id))
    named = _workspace_in(document_of(listed, task_id, state), task_id)
    if named is not None:
        yield directory_named(named, base=base)
    if base is not None:
        yield base
    worked_in = text_in(result, "workspace")
    if worked_in:
        yield Path(worked_in)


def _workspace_in(document: Path, task_id: TaskId) -> str | None:
    try:
        data, _ = durable.read_regular(document, limit=MAX_BYTES)
        named = parse(data, task_id).given.get("workspace")
    except (OSError, TaskFileError):
        return None
    return named if isinstance(named, str) else None


def _has(git: Git, commit: str) -> bool:
    try:
        return commit_of(git, commit) is not None
    except (OSError, GitError):
        return False


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
