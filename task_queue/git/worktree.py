"""A working tree and a branch of its own for each isolated task, and throw-away checkouts to verify in.

Nothing with work in it is ever removed by us: no uncommitted file, no commit that only its branch has.
Directories go by ``git worktree remove``, never by ``rm``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.document.naming import branch_of
from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, dirty_paths, submodules_of
from task_queue.platform import durable

_CHECKOUT_TIMEOUT_S = 900.0
_THROW_AWAY = "task-queue: goes when its task is done with it"
"""What we call the lock on a checkout that nobody works in."""
_INITIALIZING = "initializing"
"""What git-worktree(1) calls the lock on one that it has not finished to create."""


@dataclass(frozen=True, slots=True)
class WorktreeEntry:
    """One working tree that the repository knows of."""

    directory: Path
    head: str | None
    branch: str | None
    """None: detached, or bare."""
    lock: str | None = None
    """Why it must not be removed; None: it is not locked."""
    prunable: bool = False
    """Its directory is gone."""


@dataclass(frozen=True, slots=True)
class Worktree:
    """A task's own working tree."""

    directory: Path
    branch: str
    head: str
    continued: bool
    """It was there already, with whatever an earlier attempt did in it."""
    submodules: tuple[str, ...] = ()
    """Not checked out there: a set-up command has to (git submodule update --init)."""


def listed(git: Git) -> tuple[WorktreeEntry, ...]:
    """Every working tree of the repository, the main one first."""
    found: list[WorktreeEntry] = []
    about: dict[str, str] = {}
    for line in git.read("worktree", "list", "--porcelain", "-z").fields:
        if line:
            name, _, value = line.partition(" ")
            about[name] = value
        elif about:
            found.append(_listed(about))
            about = {}
    return tuple(found)


def checkout_of(git: Git, branch: str) -> Path | None:
    """The working tree that has *branch* checked out; None if none has."""
    return next((tree.directory for tree in listed(git) if tree.branch == branch and not tree.prunable), None)


def create(git: Git, task_id: TaskId, *, directory: Path, base: str) -> Worktree:
    """The task's working tree in *directory*, on a branch of its own that begins at *base*. Idempotent.

    One that is there already on the task's branch is continued. Where the branch's name is taken, a
    number is added. Raises GitError: a directory that is not ours is left alone.
    """
    directory = Path(os.path.realpath(directory))
    known = next((tree for tree in listed(git) if tree.directory == directory), None)
    if known is not None and not known.prunable:
        return _continued(git, known, task_id)
    if directory.is_symlink() or (directory.exists() and not _is_empty(directory)):
        raise GitError(
            f"{directory} is there already, and is no working tree of {git.directory}",
            hint="look into it and move it away, then retry the task",
        )
    if known is not None:
        _forget(git, known)
    start = commit_of(git, base)
    if start is None:
        raise GitError(
            f"{git.directory}: there is no commit {base} to begin a branch at", hint="commit something first"
        )
    branch, exists = _free_branch(git, task_id, start)
    _refuse_blocked_name(git)
    durable.make_directory(directory.parent)
    new = ("--no-track", "-b", branch, str(directory), start)
    git.within(_CHECKOUT_TIMEOUT_S).change("worktree", "add", *((str(directory), branch) if exists else new))
    return Worktree(directory, branch, start, continued=False, submodules=submodules_of(git.at(directory)))


def why_kept(git: Git, directory: Path) -> str | None:
    """Why the working tree in *directory* must not be removed; None if nothing would be lost.

    Ignored files (build results) do not count. Commits count as safe once another branch has them.
    """
    tree = _known(git, directory)
    if tree.lock is not None:
        return f"it is locked{f': {tree.lock}' if tree.lock else ''}"
    if not tree.prunable:
        dirty = dirty_paths(git.at(tree.directory))
        if len(dirty) > 0:
            more = f" and {len(dirty) - 1} more" if len(dirty) > 1 else ""
            return f"uncommitted: {dirty[0].path}{more}"
    if tree.head is not None and not _is_elsewhere(git, tree.head, branch=tree.branch):
        return f"commits that only {tree.branch or 'it'} has"
    return None


def remove(git: Git, directory: Path) -> str | None:
    """Remove the working tree if nothing would be lost, and its branch with it; else why it was kept.

    Idempotent. The branch goes only where another one has all of its commits.
    """
    directory = Path(os.path.realpath(directory))
    tree = next((tree for tree in listed(git) if tree.directory == directory), None)
    if tree is None:
        return None
    why = why_kept(git, directory)
    if why is not None:
        return why
    # Without --force: git looks again, and refuses where submodules are checked out.
    answer = git.within(_CHECKOUT_TIMEOUT_S).attempt("worktree", "remove", str(directory))
    if answer.code != 0:
        return answer.said.strip()
    if tree.branch is not None and tree.head is not None and tree.branch.startswith("task-queue/"):
        git.attempt("update-ref", "-d", f"refs/heads/{tree.branch}", tree.head)
    return None


@contextmanager
def fresh_checkout(git: Git, commit: str, *, directory: Path) -> Generator[Worktree, None, None]:
    """*commit* as anybody would get it, in *directory*; gone afterwards, with all that was built in it."""
    directory = Path(os.path.realpath(directory))
    known = next((tree for tree in listed(git) if tree.directory == directory), None)
    if known is not None and known.branch is None:
        _discard(git, directory)  # what a crash left of an earlier one
    if directory.exists() and not _is_empty(directory):
        raise GitError(f"{directory} is there already", hint="move it away, then retry the task")
    durable.make_directory(directory.parent)
    git.within(_CHECKOUT_TIMEOUT_S).change("worktree", "add", "--detach", str(directory), commit)
    git.change("worktree", "lock", "--reason", _THROW_AWAY, str(directory))
    try:
        submodules = submodules_of(git.at(directory))
        yield Worktree(directory, "", commit, continued=False, submodules=submodules)
    finally:
        _discard(git, directory)


def discard_forgotten(git: Git, folder: Path, *, unfinished: Collection[str]) -> None:
    """Remove the throw-away checkouts in *folder* whose task, by the name before the last dot, is not *unfinished*."""
    for tree in listed(git):
        is_ours = tree.directory.parent == folder and tree.lock == _THROW_AWAY and tree.branch is None
        if is_ours and tree.directory.stem not in unfinished:
            _discard(git, tree.directory)


def _discard(git: Git, directory: Path) -> None:
    """The only use of force (twice: also where it was being created): nobody ever worked in such a checkout."""
    git.within(_CHECKOUT_TIMEOUT_S).attempt("worktree", "remove", "--force", "--force", str(directory))


def _continued(git: Git, known: WorktreeEntry, task_id: TaskId) -> Worktree:
    if known.branch is None or not _is_name_for(known.branch, task_id):
        raise GitError(
            f"{known.directory} is a working tree on {known.branch or 'no branch'}, not on {branch_of(task_id)}",
            hint="switch it back or move it away, then retry the task",
        )
    there = git.at(known.directory)
    if known.lock == _INITIALIZING:
        # Killed while it was created, so nobody has worked in it: bring the missing files.
        git.change("worktree", "unlock", str(known.directory))
        there.within(_CHECKOUT_TIMEOUT_S).change("read-tree", "HEAD")
        there.within(_CHECKOUT_TIMEOUT_S).change("checkout-index", "--all", "--force", "--quiet")
    head = commit_of(there, "HEAD")
    if head is None:
        raise GitError(
            f"{known.directory} has no commit checked out", hint="move it away, then retry the task"
        )
    return Worktree(known.directory, known.branch, head, continued=True, submodules=submodules_of(there))


def _free_branch(git: Git, task_id: TaskId, start: str) -> tuple[str, bool]:
    """A name that nobody uses, and whether it exists (a crash came between the branch and its working tree)."""
    in_use = {tree.branch for tree in listed(git)}
    for number in itertools.count(1):
        name = branch_of(task_id) + (f"-{number}" if number > 1 else "")
        tip = commit_of(git, f"refs/heads/{name}")
        if tip is None:
            return name, False
        if tip == start and name not in in_use:
            return name, True
    raise AssertionError


def _is_name_for(branch: str, task_id: TaskId) -> bool:
    name, _, number = branch.removeprefix(branch_of(task_id)).partition("-")
    return branch == branch_of(task_id) or (
        branch.startswith(branch_of(task_id)) and name == "" and number.isdecimal()
    )


def _refuse_blocked_name(git: Git) -> None:
    if commit_of(git, "refs/heads/task-queue") is not None:
        raise GitError(
            f"{git.directory}: a branch called task-queue is in the way of task-queue/...",
            hint="rename it: git branch -m task-queue another-name",
        )


def _forget(git: Git, known: WorktreeEntry) -> None:
    """Drop the record of a working tree whose directory somebody removed; its branch stays."""
    if known.lock is not None:
        raise GitError(
            f"{known.directory} is gone, but its working tree is locked: {known.lock}",
            hint=f"git worktree unlock {known.directory}",
        )
    git.change("worktree", "remove", str(known.directory))


def _known(git: Git, directory: Path) -> WorktreeEntry:
    directory = Path(os.path.realpath(directory))
    for tree in listed(git):
        if tree.directory == directory:
            return tree
    raise GitError(f"{directory} is no working tree of {git.directory}")


def _is_elsewhere(git: Git, commit: str, *, branch: str | None) -> bool:
    answer = git.read(
        "for-each-ref",
        "--format=%(refname)",
        f"--contains={commit}",
        "refs/heads",
        "refs/remotes",
        "refs/tags",
    )
    return any(ref != f"refs/heads/{branch}" for ref in answer.text.splitlines())


def _is_empty(directory: Path) -> bool:
    return directory.is_dir() and not any(directory.iterdir())


def _listed(about: dict[str, str]) -> WorktreeEntry:
    branch = about.get("branch")
    head = about.get("HEAD")
    return WorktreeEntry(
        directory=Path(about["worktree"]),
        head=head if head and set(head) != {"0"} else None,
        branch=branch.removeprefix("refs/heads/") if branch else None,
        lock=about.get("locked"),
        prunable="prunable" in about,
    )
