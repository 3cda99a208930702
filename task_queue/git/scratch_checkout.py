"""Checkouts in which no attempt works: to verify or audit a result, to make a merge. They go when they were used."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.git.own_repository import borrowed_of, make_repository, paths_of
from task_queue.git.program import Git
from task_queue.git.records import CheckoutRecord, checkouts_in, forget, record_of, remember, remove_tree
from task_queue.git.repository import commit_of
from task_queue.git.worktree import CHECKOUT_TIMEOUT_S, is_empty, listed
from task_queue.platform import durable
from task_queue.platform.lockfile import FileLock

Unfinished = Callable[[], Collection[str]]
"""Names of the checkouts of tasks that run or will run again, as it is when it is asked."""

_FIXED_PLACES = ".verify"
_OF_AN_EARLIER_RELEASE = "task-queue: goes when its task is done with it"
"""The lock on such a checkout when it was a working tree of the owner's repository."""


@dataclass(frozen=True, slots=True)
class ScratchCheckout:
    """One of them, as it was made."""

    directory: Path
    commit: str
    writer: Git
    """Of the queue's own: nothing that the checkout's repository says counts for it."""
    index: bytes
    place: tuple[int, int]
    """Device and inode of the directory."""

    def changed(self) -> tuple[str, ...]:
        """Files of the commit that are not as they are in it, whatever ran here meanwhile.

        Raises GitError, also where something else is in the place of the checkout.
        """
        own = self.directory / ".git"
        if own.is_symlink() or not own.is_dir() or _place_of(self.directory) != self.place:
            raise GitError(f"{self.directory}: something else is in the place of the checkout")
        try:
            durable.replace(own / "index", self.index)  # the one that is there may hide changes
        except OSError as error:
            raise GitError(f"{own / 'index'}: {error.strerror}", hint="make room") from error
        self.writer.attempt("update-index", "-q", "--refresh")  # files that were written anew as they were
        return tuple(self.writer.read("diff-files", "--name-only", "-z").fields)

    def put_back(self) -> tuple[str, ...]:
        """Make these files again what they are in the commit; which they were. Others stay. Raises GitError."""
        changed = self.changed()
        self.writer.change("read-tree", "--reset", "-u", self.commit)
        return changed


@contextmanager
def scratch_checkout(git: Git, commit: str, *, directory: Path) -> Generator[Path, None, None]:
    """*commit* as a new clone would have it, in *directory*; gone afterwards, with all that was built in it.

    *git* is in the root of the owner's working tree. What git does in *directory* stays there: it has a
    repository of its own, in which no branch is checked out. Raises GitError.
    """
    with restorable_checkout(git, commit, directory=directory) as made:
        yield made.directory


@contextmanager
def restorable_checkout(git: Git, commit: str, *, directory: Path) -> Generator[ScratchCheckout, None, None]:
    """The same, where files of the commit may have to be put back. Raises GitError."""
    directory = Path(os.path.realpath(directory))
    _discard(directory)  # what a crash left of an earlier one
    _discard_earlier(git, directory)
    head = commit_of(git, commit)
    if head is None:
        raise GitError(f"{git.directory}: there is no commit {commit}")
    if directory.exists() and not is_empty(directory):
        raise GitError(f"{directory} is there already", hint="move it away, then retry the task")
    remember(directory, CheckoutRecord(git.directory))
    try:
        try:
            directory.mkdir(exist_ok=True)
        except OSError as error:
            raise GitError(
                f"{directory}: {error.strerror}", hint="make room, or the folder writable"
            ) from error
        own = directory / ".git"
        settings = make_repository(git, own, to_be=own, borrowed=borrowed_of(git), head=head, branch=None)
        writer = Git(
            directory,
            git.environment,
            index=own / "index",
            timeout_s=CHECKOUT_TIMEOUT_S,
            git_dir=paths_of(git).git_dir,
            work_tree=directory,
            settings=(*settings, f"core.hooksPath={os.devnull}"),  # one in the files could run
            guard=git.guard,
            sandbox=git.sandbox,
        )
        writer.change("read-tree", "--reset", "-u", commit)
        yield ScratchCheckout(
            directory, commit, writer, (own / "index").read_bytes(), _place_of(directory) or (0, 0)
        )
    finally:
        _discard(directory)


@contextmanager
def fixed_place(folder: Path) -> Generator[Path, None, None]:
    """The first place below *folder* that no other process uses now, for a checkout whose path stays the same.

    What commands make may hold its own path. Raises GitError.
    """
    places = Path(os.path.realpath(folder)) / _FIXED_PLACES
    try:
        durable.make_directory(places)
        lock = next(lock for number in itertools.count(1) if (lock := _taken(places / f".{number}.lock")))
    except OSError as error:
        raise GitError(f"{places}: {error.strerror}", hint="make room, or the folder writable") from error
    try:
        yield places / lock.path.stem.removeprefix(".")
    finally:
        lock.release()


def _taken(path: Path) -> FileLock | None:
    lock = FileLock(path)
    if lock.take(within_s=0):
        return lock
    lock.release()
    return None


def discard_unused_places(folder: Path) -> None:
    """Remove the checkouts in fixed places below *folder* that the killed left. Raises GitError, OSError."""
    for directory in tuple(checkouts_in(folder / _FIXED_PLACES)):
        lock = _taken(directory.with_name(f".{directory.name}.lock"))
        if lock is not None:
            try:
                _discard(directory)
            finally:
                lock.release()


def discard_forgotten(git: Git, folder: Path, *, unfinished: Unfinished) -> None:
    """Remove the throw-away checkouts in *folder* whose task, by the name before the last dot, is not *unfinished*."""
    directories, trees = tuple(checkouts_in(folder)), listed(git)
    at_work = unfinished()
    for directory in directories:
        if directory.stem not in at_work:
            _discard(directory)
    for tree in trees:
        is_one = tree.directory.parent == folder and tree.lock == _OF_AN_EARLIER_RELEASE
        if is_one and tree.directory.stem not in at_work:
            _discard_earlier(git, tree.directory)


def _place_of(directory: Path) -> tuple[int, int] | None:
    """None where no folder is there, or a link to one."""
    try:
        about = directory.lstat()
    except OSError:
        return None
    return (about.st_dev, about.st_ino) if stat.S_ISDIR(about.st_mode) else None


def _discard_earlier(git: Git, directory: Path) -> None:
    """From a release in which it was a working tree of the owner's repository: on no branch, without a task's work."""
    if any(tree.directory == directory and tree.branch is None for tree in listed(git)):
        patient = replace(git, timeout_s=CHECKOUT_TIMEOUT_S)
        patient.attempt("worktree", "remove", "--force", "--force", str(directory))


def _discard(directory: Path) -> None:
    """Only what was made to be thrown away: no attempt ever worked in it."""
    record = record_of(directory)
    if record is not None and record.is_scratch:
        remove_tree(directory)
        forget(directory)
