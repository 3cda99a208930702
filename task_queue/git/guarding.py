"""Which programs git starts for the queue: those that the owner had named before the first task, not an agent's.

An agent can write a configuration that git reads: the repository's own when it works in place, and without a
sandbox any other. What names programs, and the hooks, are remembered where no sandboxed agent can write; what differs
while a task is at work, or is still as a task left it, is overridden for each call. The owner's own changes count
as soon as no task is at work.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.domain.work.programs import is_same, trusted_after
from task_queue.git.location import is_in_none
from task_queue.git.owners_programs import (
    OwnersPrograms,
    key_of_path,
    programs_elsewhere,
    programs_in,
    record_of,
    repository_of,
)
from task_queue.git.program import Git
from task_queue.git.repository import root_of
from task_queue.platform import durable, identity
from task_queue.platform.identity import ProcessIdentity, own_identity
from task_queue.platform.lockfile import FileLock
from task_queue.platform.records import UnreadableRecordError, decode, encode

_LIMIT = 2**24
_LOCK_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of one repository."""

    trusted: dict[str, list[str]]
    suspect: dict[str, list[str]] | None = None
    """What there was when the last task ended that had changed something."""
    at_work: tuple[ProcessIdentity, ...] = ()
    """Runners; one that has died did not look at what its agent left."""


def guarded(git: Git, folder: Path | None) -> Git:
    """*git*, which is in the owner's repository, with its guard. Raises GitError. Unchanged without *folder*."""
    if folder is None or (place := _place_of(git, folder)) is None:
        return git
    with _locked(place):
        known = _read(place) or _at_first(git, folder)
        trusted = _trusted_in(known, programs_in(git))
    return replace(git, guard=OwnersPrograms(git, place, trusted))


def begin_guarding(git: Git, folder: Path | None) -> Git:
    """As ``guarded``; from now on, until ``end_guarding``, an agent of this process may be at work there."""
    if folder is None:
        return git
    if (place := _place_of(git, folder)) is None:
        _note_none(git, folder)
        return git
    with _locked(place):
        known, now = _read(place) or _at_first(git, folder), programs_in(git)
        trusted = _trusted_in(known, now)
        died = any(not identity.is_alive(runner) for runner in known.at_work)
        alive = tuple(each for each in known.at_work if identity.is_alive(each) and each != own_identity())
        _write(place, _Known(trusted, now if died else known.suspect, (*alive, own_identity())))
    _mark_of_none(git, folder).unlink(missing_ok=True)
    return replace(git, guard=OwnersPrograms(git, place, trusted))


def end_guarding(git: Git) -> None:
    """No agent of this process is at work there any more. Raises GitError."""
    guard = git.guard
    if not isinstance(guard, OwnersPrograms):
        return
    place = guard.record
    with _locked(place):
        known = _read(place)
        if known is None:
            return  # the owner has accepted what is there
        now = programs_in(guard.owner)
        changed = any(not is_same(key, now, known.trusted) for key in (*now, *known.trusted))
        others = tuple(each for each in known.at_work if each != own_identity())
        _write(place, _Known(known.trusted, now if changed else None, others))


@contextmanager
def guarding(git: Git, folder: Path | None) -> Generator[Git, None, None]:
    """While something is at work in the owner's repository where the queue's own git does not run."""
    with suppress(GitError):
        git = begin_guarding(git, folder)
    try:
        yield git
    finally:
        with suppress(GitError):
            end_guarding(git)


def disarmed(git: Git) -> str | None:
    """What git does not do for the queue, because an agent may have configured it; how the owner accepts it."""
    guard = git.guard
    changed = guard.changed() if isinstance(guard, OwnersPrograms) else ()
    if not isinstance(guard, OwnersPrograms) or not changed:
        return None
    names = ", ".join(key.removeprefix("hook ") for key in changed[:10])
    return (
        f"git ran as before these were changed while a task worked: {names};"
        f" if they are yours, accept them: rm {guard.record}"
    )


def _trusted_in(known: _Known, now: dict[str, list[str]]) -> dict[str, list[str]]:
    return known.trusted if known.at_work else trusted_after(now, known.trusted, known.suspect)


def _at_first(git: Git, folder: Path) -> _Known:
    """What is trusted of a repository that no task was in: not its own settings where a task may have made it."""
    now = programs_in(git)
    if not _mark_of_none(git, folder).exists():
        return _Known(now)
    return _Known(programs_elsewhere(git), suspect=now)


def _note_none(git: Git, folder: Path) -> None:
    mark = _mark_of_none(git, folder)
    if mark.exists():
        return
    try:
        durable.make_directory(folder)
        durable.replace(mark, b"")
    except OSError as error:
        raise GitError(f"{mark}: {error.strerror}", hint="make the state folder writable") from error


def _mark_of_none(git: Git, folder: Path) -> Path:
    """Says that a task worked there while it was in no repository."""
    return folder / f"{key_of_path(git.directory)}.none"


def _place_of(git: Git, folder: Path) -> Path | None:
    """None: there is no repository. Raises GitError where it is another one than at the first task there."""
    if is_in_none(git.directory):
        return None
    try:
        repository, root = repository_of(git), root_of(git.unguarded())
    except GitError:
        return None
    if root is not None:
        _refuse_another(root, repository, folder)
    return record_of(repository, folder)


def _refuse_another(root: Path, repository: Path, folder: Path) -> None:
    """A task in the working tree at *root* could have put one of its own in the place of the owner's."""
    seen = folder / f"{key_of_path(root)}.repository"
    try:
        known = Path(os.fsdecode(durable.read_regular(seen, limit=_LIMIT)[0]))
    except FileNotFoundError:
        durable.make_directory(folder)
        durable.replace(seen, os.fsencode(repository))
        return
    except OSError as error:
        raise GitError(f"{seen}: {error.strerror}", hint="look at it, then remove it") from error
    if known != repository:
        raise GitError(
            f"{root} is in the repository {repository}, and was in {known} at an earlier task",
            hint=f"if you changed that: rm {seen}",
        )


@contextmanager
def _locked(place: Path) -> Generator[None, None, None]:
    lock = FileLock(place.with_suffix(".lock"))
    try:
        durable.make_directory(place.parent)
        if not lock.take(within_s=_LOCK_WITHIN_S):
            raise GitError(f"{place} is held by another runner", hint="the task is tried again by itself")
        yield
    except OSError as error:
        raise GitError(f"{place}: {error.strerror}", hint="make the state folder writable") from error
    finally:
        lock.release()


def _read(place: Path) -> _Known | None:
    try:
        return decode(_Known, durable.read_regular(place, limit=_LIMIT)[0])
    except FileNotFoundError:
        return None
    except UnreadableRecordError as error:
        raise GitError(
            f"{place} cannot be read: {error}", hint="look at the repository, then remove it"
        ) from error


def _write(place: Path, known: _Known) -> None:
    durable.replace(place, encode(known))
