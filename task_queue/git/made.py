"""Which uncommitted files are the work of no agent: what the owner's commands made, and what tools leave behind.

What a set-up or verification command made is remembered in an index apart from the repository's: path, hash and
state of each file, without its content. A file counts as the command's for as long as it is as the command left it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.domain.work.by_products import by_product_of, marked_folders
from task_queue.git.program import Git
from task_queue.git.repository import Dirty, Repository, dirty_paths
from task_queue.git.snapshot import Entry, entries_in_index, steps_between
from task_queue.platform import durable, identity
from task_queue.platform.identity import ProcessIdentity
from task_queue.platform.records import UnreadableRecordError, decode, encode

_FOLDER = "task-queue-made"
_LIMIT = 2**24
_MAX_HASHED_BYTES = 100 * 2**20


@dataclass(frozen=True, slots=True)
class Running:
    """A command that may be making files now."""

    before: str
    """The tree of the files as they were when it began."""
    since: str
    """The commit or tree that the task's own changes are compared with."""
    runner: ProcessIdentity


@dataclass(frozen=True, slots=True)
class Made:
    """What one task's commands made, besides the files in the index."""

    deleted: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    """Repositories, and files that cannot be hashed: the commands' whatever is in them."""
    running: Running | None = None


def begin_making(repository: Repository, task_id: TaskId, *, before: str, since: str) -> None:
    """Note that a command begins, so that what it leaves counts as its own also if it is killed. Raises GitError."""
    path = _record_path(repository, task_id)
    running = Running(before, since, identity.own_identity())
    _write(path, replace(_read(path), running=running))


def end_making(git: Git, repository: Repository, task_id: TaskId) -> None:
    """Remember what differs from what was there when the command began. Raises GitError.

    What the task itself had changed before stays its own, also where the command changed it again.
    """
    path = _record_path(repository, task_id)
    record = _read(path)
    if record.running is not None:
        _end(git, repository, path, record, record.running)


def finish_cut_off(git: Git, repository: Repository) -> None:
    """The same for commands whose runner was killed: no agent has worked here since. Raises GitError."""
    for path in sorted((repository.git_dir / _FOLDER).glob("*.json")):
        record = _read(path)
        if record.running is not None and not identity.is_alive(record.running.runner):
            _end(git, repository, path, record, record.running)


def _end(git: Git, repository: Repository, path: Path, record: Made, running: Running) -> None:
    made = _with_new(git.at(repository.root), repository, path, record, running)
    _write(path, made)
    if made == Made() and not path.with_suffix(".index").exists():
        _remove(path)


def forget_made(repository: Repository, task_id: TaskId) -> None:
    """The task has ended: what its commands left in the workspace is like any other file from now on."""
    _remove(_record_path(repository, task_id))


def _remove(path: Path) -> None:
    for each in (path, path.with_suffix(".index")):
        with contextlib.suppress(OSError):  # a record too many says nothing wrong
            each.unlink()


def dirty_work(git: Git, git_dir: Path) -> tuple[Dirty, ...]:
    """What is uncommitted and may be an agent's or a person's work. *git* is in the root."""
    dirty = dirty_paths(git)
    apart = set_apart(git, git_dir, dirty)
    return tuple(entry for entry in dirty if entry.path not in apart)


def set_apart(git: Git, git_dir: Path, dirty: Sequence[Dirty]) -> frozenset[str]:
    """Those of *dirty* that are the work of no agent. What was staged is not: who stages a file wants it."""
    unstaged = [entry for entry in dirty if not entry.staged]
    made = _made_here(git, git_dir) if unstaged else frozenset[str]()
    gone = {entry.path for entry in unstaged if entry.change == "deleted"}
    deleted = {path for record in _records(git_dir) for path in record.deleted} & gone
    left = _by_products(git, [e.path for e in unstaged if e.change == "untracked" and e.path not in made])
    return frozenset({entry.path for entry in unstaged} & made) | deleted | left


def committed_as_made(git: Git, git_dir: Path, tracked: Collection[str]) -> frozenset[str]:
    """Those of *tracked*, which were files before the task and are not dirty, that are as a command left them.

    An agent that commits everything has committed them: that does not make them its work.
    """
    if not tracked:
        return frozenset()
    deleted = {path for record in _records(git_dir) for path in record.deleted}
    gone = {path for path in deleted.intersection(tracked) if not os.path.lexists(git.directory / path)}
    return _made_here(git, git_dir).intersection(tracked) | gone


def _by_products(git: Git, untracked: Sequence[str]) -> frozenset[str]:
    """Not below a folder in which the repository has files: there they are kept on purpose."""
    marked = marked_folders(untracked)
    places = {path: place for path in untracked if (place := by_product_of(path, marked)) is not None}
    if not places:
        return frozenset()
    wanted = sorted(set(places.values()))
    tracked: list[str] = []
    for begin in range(0, len(wanted), 500):
        literal = replace(git, extra={**git.extra, "GIT_LITERAL_PATHSPECS": "1"})
        tracked += literal.read("ls-files", "-z", "--full-name", "--", *wanted[begin : begin + 500]).fields
    kept = {place for place in wanted if any(path.startswith(f"{place}/") for path in tracked)}
    return frozenset(path for path, place in places.items() if place not in kept)


def _made_here(git: Git, git_dir: Path) -> frozenset[str]:
    found: set[str] = set()
    for record in _records(git_dir):
        found.update(record.whole)
    for index in sorted((git_dir / _FOLDER).glob("*.index")):
        there = git.with_index(index)
        there.attempt("update-index", "-q", "--refresh")  # a file that was only touched is as it was
        changed = set(there.read("diff-files", "-z", "--name-only", "--ignore-submodules=dirty").fields)
        found.update(path for path in entries_in_index(there) if path not in changed)
    return frozenset(found)


def _with_new(git: Git, repository: Repository, path: Path, record: Made, running: Running) -> Made:
    dirty = dirty_paths(git)
    known = set_apart(git, repository.git_dir, dirty)
    before, since = (_tree_there(git, tree) for tree in (running.before, running.since))
    if before is None or since is None:
        return replace(record, running=None)  # pruned meanwhile: better counted as work than lost
    touched = {step.path for step in steps_between(git, since, before)}
    new = [entry for entry in dirty if entry.path not in known and entry.path not in touched]
    was = _entries_of(git, before)
    here = [entry for entry in new if os.path.lexists(git.directory / entry.path)]
    whole = [entry.path for entry in here if entry.is_repository or not _can_be_hashed(git, entry)]
    gone = [entry.path for entry in new if entry not in here and entry.path in was]
    _remember(git, path.with_suffix(".index"), [e.path for e in here if e.path not in set(whole)], was)
    return Made(
        deleted=tuple(dict.fromkeys((*record.deleted, *gone))),
        whole=tuple(dict.fromkeys((*record.whole, *whole))),
    )


def _remember(git: Git, index: Path, paths: Sequence[str], was: dict[str, Entry]) -> None:
    """Put *paths* into the index of what was made, but for those that are as they *was*."""
    if not paths:
        return
    new = index.with_suffix(".new")
    new.unlink(missing_ok=True)
    if index.exists():
        shutil.copy2(index, new)
    there = git.with_index(new)
    links = [path for path in paths if (git.directory / path).is_symlink()]
    files = sorted(set(paths).difference(links))
    # Git compares a link with its object, and a file with its hash alone.
    for given, how in ((files, ("--info-only",)), (links, ())):
        if given:
            there.change(
                "update-index", "--add", "--remove", "--replace", *how, "-z", "--stdin", stdin=_nul(given)
            )
    now = entries_in_index(there)
    same = [path for path in paths if path in now and now[path] == was.get(path)]
    if same:
        there.change("update-index", "--force-remove", "-z", "--stdin", stdin=_nul(same))
    new.replace(index)


def _nul(paths: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _can_be_hashed(git: Git, entry: Dirty) -> bool:
    path = git.directory / entry.path
    about = path.lstat()
    if stat.S_ISLNK(about.st_mode):
        return True
    return stat.S_ISREG(about.st_mode) and about.st_size <= _MAX_HASHED_BYTES and os.access(path, os.R_OK)


def _tree_there(git: Git, tree: str) -> str | None:
    answer = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{tree}^{{tree}}")
    return answer.text if answer.code == 0 else None


def _entries_of(git: Git, tree: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for line in git.read("ls-tree", "-r", "-z", "--full-tree", tree).fields:
        about, _, path = line.partition("\t")
        mode, _, oid = about.split(" ")
        found[path] = Entry(mode, oid)
    return found


def _records(git_dir: Path) -> tuple[Made, ...]:
    return tuple(_read(path) for path in sorted((git_dir / _FOLDER).glob("*.json")))


def _record_path(repository: Repository, task_id: TaskId) -> Path:
    return repository.git_dir / _FOLDER / f"{key_of(task_id)}.json"


def _read(path: Path) -> Made:
    """Nothing made where there is no record. Raises GitError where it cannot be read."""
    try:
        return decode(Made, durable.read_regular(path, limit=_LIMIT)[0])
    except FileNotFoundError:
        return Made()
    except (OSError, UnreadableRecordError) as error:
        raise GitError(f"{path} cannot be read: {error}", hint="move it away, then retry the task") from error


def _write(path: Path, record: Made) -> None:
    try:
        durable.make_directory(path.parent)
        durable.replace(path, encode(record))
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make room, or the repository writable") from error
