"""A checkout and a branch of its own for each isolated task.

Its files are a working tree of the owner's repository as the queue sees them, with HEAD, index and hooks that
the agent's git does not reach. What the agent sees is a repository of the checkout's own (``own_repository``).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import uuid
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.document.naming import branch_of
from task_queue.domain.errors import CheckoutLost, GitError
from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import ref_of
from task_queue.git.closed import with_repository
from task_queue.git.own_repository import Borrowed, RepositoryPaths, borrowed_of, make_repository, paths_of
from task_queue.git.program import Git, said_by
from task_queue.git.records import CheckoutRecord, record_of, remember, remove_tree
from task_queue.git.repository import commit_of, holder_of
from task_queue.platform import durable
from task_queue.platform.sandbox import Sandbox, secrets_below

CHECKOUT_TIMEOUT_S = 900.0
_INITIALIZING = "initializing"
"""What git-worktree(1) calls the lock on one that it has not finished to create."""
_IDENTITY = "task-queue-checkout"
_IDENTITY_LIMIT = 256
_NO_COMMIT = "0" * 40
_PIN = (
    "tree {tree}\n{parents}author task-queue <task-queue@localhost> 0 +0000\n"
    "committer task-queue <task-queue@localhost> 0 +0000\n\nWhat the checkout borrows\n"
)


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
    """Its directory is gone, or the repository in it."""


@dataclass(frozen=True, slots=True)
class Worktree:
    """A task's own checkout."""

    directory: Path
    branch: str
    head: str
    continued: bool
    """It was there already, with whatever an earlier attempt did in it."""
    git: Git
    """As the queue sees it: the configuration and the hooks are the owner's."""
    """Not checked out there: a set-up command has to (git submodule update --init)."""
    notes: tuple[str, ...] = ()


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
    if found:
        found[0] = replace(found[0], directory=_main_root(git) or found[0].directory)
    return tuple(found)


def checkout_of(git: Git, branch: str) -> Path | None:
    """The working tree that has *branch* checked out; None if none has."""
    return next((tree.directory for tree in listed(git) if tree.branch == branch and not tree.prunable), None)


def create(git: Git, task_id: TaskId, *, directory: Path, base: str, earlier: str | None = None) -> Worktree:
    """The task's checkout in *directory*, on a branch of its own that begins at *base*. Idempotent.

    *git* is in the root of the working tree whose repository it is. A checkout that is there already on the
    task's branch is continued. *earlier* is the branch of a checkout of the task that was removed: it is gone on
    with. Else, where the branch's name is taken, a number is added. Raises GitError: a directory that is not the
    queue's is left alone.
    """
    directory = Path(os.path.realpath(directory))
    moved = bring_back_renamed(directory)
    known = next((tree for tree in listed(git) if tree.directory == directory), None)
    is_there = directory.is_symlink() or (directory.exists() and not is_empty(directory))
    if known is not None and is_there:
        return _continued(git, known, task_id, notes=(moved,) if moved else ())
    if is_there:
        raise GitError(
            f"{directory} is there already, and is not a working tree of {git.directory}",
            hint="look into it and move it away, then retry the task",
        )
    lost = earlier if earlier is not None and checkout_of(git, earlier) is None else None
    if known is not None:
        _forget(git, known)
        lost = known.branch if known.head is not None and _is_name_for(known.branch or "", task_id) else None
    start = commit_of(git, base) if lost is None else commit_of(git, f"refs/heads/{lost}")
    if start is None:
        raise GitError(
            f"{git.directory}: there is no commit {base} to begin a branch at", hint="commit something first"
        )
    # What was committed before the directory was lost is on the branch, and is gone on with.
    branch, exists = (lost, True) if lost is not None else _free_branch(git, task_id, start)
    _refuse_blocked_name(git)
    _refuse_other_case(git, directory)
    with _said_of(directory.parent):
        durable.make_directory(directory.parent)
    new = ("--no-track", "-b", branch, str(directory), start)
    git.within(CHECKOUT_TIMEOUT_S).change(
        "worktree", "add", "--no-checkout", *((str(directory), branch) if exists else new)
    )
    return _completed(git, task_id, directory, branch=branch, head=start, continued=False)


def seen_by_queue(git: Git, directory: Path) -> Git:
    """Git in the checkout, with the owner's configuration and hooks. Raises GitError where it is unknown."""
    record = record_of(directory)
    where = paths_of(git)
    return Git(
        directory,
        git.environment,
        timeout_s=git.timeout_s,
        extra=git.extra,
        git_dir=_admin_in(where.common_dir, directory, git),
        work_tree=directory,
        settings=(f"core.hooksPath={where.hooks}", *(record.settings if record else ())),
        guard=git.guard,
        sandbox=git.sandbox or (_sandbox(git, where) if record is not None and record.confined else None),
    )


def _sandbox(git: Git, where: RepositoryPaths) -> Sandbox:
    """For one who looks after the task's end, and knows no more of it."""
    home = Path(git.environment.get("HOME", "/"))
    readable = (home, git.directory, where.common_dir)
    return with_repository(Sandbox(readable, hidden=secrets_below(home)), where.common_dir)


def admin_folder(git: Git, directory: Path) -> Path:
    """Where the owner's repository keeps HEAD and index of the working tree. Raises GitError."""
    return _admin_in(paths_of(git).common_dir, directory, git)


def _admin_in(common_dir: Path, directory: Path, git: Git) -> Path:
    for path in sorted((common_dir / "worktrees").glob("*/gitdir")):
        with contextlib.suppress(OSError, ValueError):
            named = path.parent / os.fsdecode(path.read_bytes()).removesuffix("\n")
            if Path(os.path.realpath(named.parent)) == directory:
                return path.parent
    raise GitError(f"{directory} is not a working tree of {git.directory}")


def require_present(directory: Path) -> str | None:
    """What to say where the checkout had to be looked for. Raises CheckoutLost where it is gone."""
    moved = bring_back_renamed(directory)
    if not directory.is_dir() or is_empty(directory):
        raise CheckoutLost(f"the checkout {directory} was removed while the task worked in it")
    return moved


def bring_back_renamed(directory: Path) -> str | None:
    """Rename a checkout back that was renamed beside its place; what to say of it."""
    record = record_of(directory)
    if directory.exists() or record is None or not record.identity or not directory.parent.is_dir():
        return None
    for other in sorted(directory.parent.iterdir()):
        if not other.is_symlink() and other.is_dir() and identity_in(other) == record.identity:
            other.rename(directory)
            return f"the checkout had been renamed to {other.name}; it has its name again"
    return None


def identity_in(directory: Path) -> str | None:
    with contextlib.suppress(OSError):
        data, _ = durable.read_regular(directory / ".git" / _IDENTITY, limit=_IDENTITY_LIMIT)
        return data.decode(errors="replace").strip()
    return None


def is_empty(directory: Path) -> bool:
    return directory.is_dir() and not any(directory.iterdir())


def pin_of(task_id: TaskId) -> str:
    """The ref that keeps what a checkout borrows from being pruned, for as long as there is the checkout."""
    return ref_of(task_id, "borrowed")


def _continued(git: Git, known: WorktreeEntry, task_id: TaskId, *, notes: tuple[str, ...]) -> Worktree:
    if known.branch is None or not _is_name_for(known.branch, task_id):
        raise GitError(
            f"{known.directory} is a working tree on {known.branch or 'no branch'}, not on {branch_of(task_id)}",
            hint="switch it back or move it away, then retry the task",
        )
    if known.lock == _INITIALIZING:
        git.change("worktree", "unlock", str(known.directory))
    if known.head is None:
        raise GitError(
            f"{known.directory} has no commit checked out", hint="move it away, then retry the task"
        )
    _remove_locks_left(git, known.directory, known.branch)
    made = _completed(git, task_id, known.directory, branch=known.branch, head=known.head, continued=True)
    return replace(made, notes=(*notes, *made.notes))


def _remove_locks_left(git: Git, directory: Path, branch: str) -> None:
    """Of a git that was killed: only the queue's own takes these, and it does not run before the checkout is there."""
    own = admin_folder(git, directory)
    branch_lock = paths_of(git).common_dir / "refs/heads" / f"{branch}.lock"
    for lock in (branch_lock, *(own / f"{name}.lock" for name in ("index", "HEAD", "ORIG_HEAD"))):
        if lock.exists() and holder_of(lock, directory) is None:
            lock.unlink(missing_ok=True)


def _completed(
    git: Git, task_id: TaskId, directory: Path, *, branch: str, head: str, continued: bool
) -> Worktree:
    """Make what is missing of the checkout: files, where none were written yet, and its own repository.

    One of an earlier release shares the owner's repository; from here on it has its own.
    """
    notes: tuple[str, ...] = ()
    own = directory / ".git"
    if own.is_symlink() or not own.is_dir():
        borrowed = borrowed_of(git)
        _pin(git, task_id, borrowed, head)
        place = directory.with_name(f".{directory.name}.new")
        remove_tree(place)
        settings = make_repository(git, place, to_be=own, borrowed=borrowed, head=head, branch=branch)
        identity = uuid.uuid4().hex
        with _said_of(place):
            (place / _IDENTITY).write_text(f"{identity}\n")
        remember(
            directory, CheckoutRecord(git.directory, task_id, identity, settings, git.sandbox is not None)
        )
        there = seen_by_queue(git, directory)
        notes = _written(there, head)
        _swap(place, own, there)
    there = seen_by_queue(git, directory)
    return Worktree(directory, branch, head, continued, there, notes)


def _written(there: Git, head: str) -> tuple[str, ...]:
    """Write the files, unless that was done; no attempt has worked there before there is an index."""
    assert there.git_dir is not None
    if (there.git_dir / "index").exists():
        return ()
    patient = there.within(CHECKOUT_TIMEOUT_S)
    patient.change("read-tree", "--reset", "-u", "HEAD")
    try:
        answer = patient.run_hook("post-checkout", _NO_COMMIT, head, "1")
    except GitError as error:
        return (f"the hook post-checkout: {error}",)
    return (f"the hook post-checkout failed: {said_by(answer)}",) if answer.code != 0 else ()


def _swap(place: Path, own: Path, there: Git) -> None:
    """Put the new repository in the place of the link to the owner's, with the same index."""
    assert there.git_dir is not None
    with _said_of(own):
        (place / "index").write_bytes((there.git_dir / "index").read_bytes())
        own.unlink(missing_ok=True)
        place.rename(own)
        durable.sync_directory(own.parent)


@contextlib.contextmanager
def _said_of(path: Path) -> Generator[None, None, None]:
    """A full disk, or a folder that cannot be written, as a GitError: the attempt waits, and costs nothing."""
    try:
        yield
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make room, or the folder writable") from error


def _pin(git: Git, task_id: TaskId, borrowed: Borrowed, head: str) -> None:
    """Keep what the checkout borrows, whatever the owner deletes, and however it is pruned."""
    tree = git.change("hash-object", "-t", "tree", "-w", "--stdin").text
    parents = "".join(f"parent {commit}\n" for commit in dict.fromkeys((head, *borrowed.commits)))
    commit = git.change(
        *("hash-object", "-t", "commit", "-w", "--stdin"),
        stdin=_PIN.format(tree=tree, parents=parents).encode(),
    ).text
    git.change("update-ref", "--no-deref", pin_of(task_id), commit)


def _free_branch(git: Git, task_id: TaskId, start: str) -> tuple[str, bool]:
    """A name that is not in use, and whether it exists (a crash came between the branch and its working tree)."""
    in_use = {tree.branch for tree in listed(git)}
    others = git.read(
        "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/task-queue"
    ).text.splitlines()
    for number in itertools.count(1):
        name = branch_of(task_id) + (f"-{number}" if number > 1 else "")
        if any(other != name and other.casefold() == name.casefold() for other in others):
            continue  # one file on some file systems, here or where the branch is fetched to
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


def _refuse_other_case(git: Git, directory: Path) -> None:
    """Git, or the file system, may take it for the checkout of another task."""
    if git.ask("config", "--type=bool", "--get", "core.ignoreCase").text != "true":
        return
    for tree in listed(git):
        if tree.directory != directory and str(tree.directory).casefold() == str(directory).casefold():
            raise GitError(
                f"{directory} differs from the checkout {tree.directory} in upper and lower case only",
                hint="remove that one first: task-queue worktrees prune",
            )


def _forget(git: Git, known: WorktreeEntry) -> None:
    """Drop the record of a working tree whose directory is gone; its branch stays."""
    if known.lock is not None:
        raise GitError(
            f"{known.directory} is gone, but its working tree is locked: {known.lock}",
            hint=f"git worktree unlock {known.directory}",
        )
    with contextlib.suppress(OSError):
        known.directory.rmdir()  # an empty one, which is not what git knows
    git.change("worktree", "remove", str(known.directory))


def _main_root(git: Git) -> Path | None:
    """Where the files of the main working tree are, if its configuration says so: it is not beside its folder."""
    common_dir = Path(git.read("rev-parse", "--path-format=absolute", "--git-common-dir").text)
    for name in ("config.worktree", "config"):
        answer = git.ask("config", "--file", str(common_dir / name), "--get", "core.worktree")
        if answer.code == 0 and answer.text:
            return Path(os.path.realpath(common_dir / answer.text))
    return None


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
