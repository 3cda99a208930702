"""Removes checkouts, and says why one is kept: an uncommitted file, or a commit that is nowhere else.

A branch of the owner's repository and the leftovers of a task are places: where they have everything, the checkout
may go, they stay, and ``put_away`` notes where they are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import move_ref, ref_of, snapshot_now
from task_queue.git.collect import collect
from task_queue.git.guarding import guarded
from task_queue.git.made import dirty_work
from task_queue.git.nested import checked_out_submodules
from task_queue.git.program import Git
from task_queue.git.put_away import PutAway, forget_put_away, kept_leftovers, note_put_away, put_away_from
from task_queue.git.records import CheckoutRecord, checkouts_in, forget, record_of, remove_tree
from task_queue.git.repository import commit_of, dirty_paths, facts, head_of
from task_queue.git.snapshot import commit_tree, entries_in_index
from task_queue.git.submodules import only_in_submodules
from task_queue.git.untrusted import isolated_view
from task_queue.git.worktree import (
    CHECKOUT_TIMEOUT_S,
    WorktreeEntry,
    admin_folder,
    listed,
    pin_of,
    seen_by_queue,
)

_GITFILE = "gitdir: "


@dataclass(frozen=True, slots=True)
class KeptCheckout:
    """One checkout of a task that is on disk."""

    directory: Path
    task_id: str
    repository: Path
    branch: str | None
    size_bytes: int
    """Of the files on disk; what is borrowed from the repository is not counted."""
    last_used: datetime | None
    """When a person or an attempt last worked in it; None where that cannot be seen."""
    why_kept: str | None
    """What would be lost with it; None: it may go."""


_TOUCHED_BY_WORK = ("index", "HEAD", "logs/HEAD")
"""Of a repository, and of the owner's part of it; our looking at them leaves them alone."""


def kept_checkouts(
    folder: Path, git: Git, *, trusted: Path | None = None, unfinished: Collection[str] = ()
) -> tuple[KeptCheckout, ...]:
    """Every checkout of a task directly in *folder*, by name, also of earlier releases.

    *git* is for its environment alone, *trusted* the folder of ``guarding``. Those whose name is in
    *unfinished* are needed, and not looked into. One whose repository cannot be read is listed with that as the reason.
    """
    found: list[KeptCheckout] = []
    for directory in _directories_in(folder):
        try:
            record = record_of(directory) or _earlier(directory, git)
            if record is None or record.is_scratch:
                continue
            owner = guarded(git.plain(record.repository), trusted)
            is_needed = directory.name in unfinished
            described = _described(directory, record, owner, is_needed=is_needed)
            found += [] if described is None else [described]
        except GitError as error:
            size = size_of(directory)
            found.append(KeptCheckout(directory, directory.name, directory, None, size, None, str(error)))
    return tuple(found)


def why_kept(git: Git, directory: Path) -> str | None:
    """Why the checkout in *directory* must not be removed; None if nothing would be lost. Raises GitError.

    Ignored files (build results) do not count. Commits count as safe once a branch of the owner's repository has
    them, those in a submodule once a remote branch has them. Uncommitted files count as safe where the leftovers
    of the task have exactly these.
    """
    tree = _known(git, directory)
    if tree.lock is not None:
        return f"it is locked{f': {tree.lock}' if tree.lock else ''}"
    if tree.directory.is_dir():
        there = _there(git, tree.directory)
        only_there = (
            _only_in_own_repository(git, tree) or _uncommitted(git, there) or only_in_submodules(there)
        )
        if only_there is not None:
            return only_there
    if tree.head is not None and tree.branch is None and not _is_elsewhere(git, tree.head, branch=None):
        return "commits that no branch has"
    return None


def remove(git: Git, directory: Path) -> str | None:
    """Remove the checkout if nothing would be lost, and its branch with it; else why it was kept.

    *git* is in the owner's repository. Idempotent. The branch goes only where another one has all of its commits,
    and nothing was uncommitted; where it stays, a note says so for the task's next attempt.
    """
    directory = Path(os.path.realpath(directory))
    tree = next((tree for tree in listed(git) if tree.directory == directory), None)
    if tree is None:
        if not directory.exists():
            forget(directory)  # removed by a person
        return None
    why = why_kept(git, directory)
    if why is not None:
        return why
    record = record_of(directory)
    away = _work_to_keep(git, tree, record)
    if away is not None:
        note_put_away(directory, away)
    said = _removed(git, tree, record)
    if said is not None:
        forget_put_away(directory)
        return said
    if away is None and tree.branch is not None and tree.head is not None and _is_tasks(tree.branch):
        git.attempt("update-ref", "-d", f"refs/heads/{tree.branch}", tree.head)
    if record is not None:
        git.attempt("update-ref", "-d", pin_of(TaskId(record.task_id)))
    forget(directory)
    return None


def give_up(git: Git, directory: Path, task_id: TaskId) -> tuple[str, ...]:
    """Remove a checkout that its task does not go on with; where what was in it is kept.

    Its branch stays, and so do the commits that were in its own repository only; uncommitted files go to a ref.
    Idempotent. Raises GitError where a submodule holds something that is nowhere else.
    """
    directory = Path(os.path.realpath(directory))
    tree = next((tree for tree in listed(git) if tree.directory == directory), None)
    away = put_away_from(directory)
    forget_put_away(directory)
    if tree is None or tree.head is None or tree.branch is None or not directory.is_dir():
        return () if away is None else (f"the earlier work is kept on the branch {away.branch}",)
    there = _there(git, directory)
    inside = only_in_submodules(there)
    if inside is not None:
        raise GitError(
            f"{directory} is to be given up, and holds {inside}", hint="push that first, or move it away"
        )
    notes = [f"the earlier work is kept on the branch {tree.branch}"]
    notes += collect(there, task_id, base=tree.head, branch=tree.branch)
    found = facts(there)
    head = head_of(there)
    if found is not None and head is not None and dirty_work(there, found.git_dir):
        ref, files = ref_of(task_id, "given-up"), snapshot_now(there, found).tree
        earlier = commit_of(git, ref)
        parents = (head, *([earlier] if earlier else []))
        kept = commit_tree(there, files, parents=parents, message=f"Given up by {task_id}\n")
        move_ref(git, ref, kept, earlier)
        notes.append(f"its uncommitted files are kept on {ref}")
    said = _removed(git, tree, record_of(directory), force=True)
    if said is not None:
        raise GitError(f"{directory} cannot be removed: {said}", hint="move it away, then retry the task")
    git.attempt("update-ref", "-d", pin_of(task_id))
    forget(directory)
    return tuple(notes)


def size_of(directory: Path) -> int:
    """Bytes on disk of the files below *directory*; 0 where there is none."""
    total = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            with contextlib.suppress(OSError):  # gone meanwhile
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 - many of them
    return total


def last_used(git: Git, directory: Path) -> datetime | None:
    """When a person or an attempt last worked in the checkout; None where nothing of it can be seen."""
    seen: list[float] = []
    with contextlib.suppress(OSError, GitError):
        seen.append(directory.stat().st_mtime)
        for part in (admin_folder(git, directory), directory / ".git"):
            for name in _TOUCHED_BY_WORK:
                with contextlib.suppress(OSError):
                    seen.append((part / name).stat().st_mtime)
    return datetime.fromtimestamp(max(seen), UTC) if seen else None


def is_elsewhere(git: Git, branch: str) -> bool:
    """Whether all commits of *branch*, which exists, are on another branch, too."""
    return _is_elsewhere(git, f"refs/heads/{branch}", branch=branch)


def _work_to_keep(git: Git, tree: WorktreeEntry, record: CheckoutRecord | None) -> PutAway | None:
    if tree.branch is None or tree.head is None or not _is_tasks(tree.branch):
        return None
    left = None
    if record is not None and tree.directory.is_dir():
        there = _there(git, tree.directory)
        left = kept_leftovers(there, TaskId(record.task_id)) if _dirty(git, there) else None
    if left is None and _is_elsewhere(git, tree.head, branch=tree.branch):
        return None
    return PutAway(git.directory, tree.branch, left)


def _is_tasks(branch: str) -> bool:
    return branch.startswith("task-queue/")


def _removed(
    git: Git, tree: WorktreeEntry, record: CheckoutRecord | None, *, force: bool = False
) -> str | None:
    """Remove the files, if they are all committed or the work of no agent (``git.made``); what keeps them, else.

    Git does not look again: it would enter each repository below, and do what its configuration says.
    """
    directory = tree.directory
    own, aside = directory / ".git", directory.with_name(f".{directory.name}.gone")
    there = _there(git, directory) if directory.is_dir() else None
    if there is not None and not force and not _needs_force(git, there):
        left = [dirty.path for dirty in dirty_paths(there)] + _hidden_repositories(there)
        if left:
            return f"{left[0]} is not committed"
    remove_tree(aside)
    is_own = own.is_dir() and not own.is_symlink()
    if is_own:
        own.rename(aside)
    if directory.is_dir() and not own.exists():
        own.unlink(missing_ok=True)  # an agent's link would have us write where it leads
        with own.open("xb") as file:
            file.write(os.fsencode(f"{_GITFILE}{admin_folder(git, directory)}\n"))
    patient = replace(git, timeout_s=CHECKOUT_TIMEOUT_S, settings=record.settings if record else ())
    answer = patient.attempt("worktree", "remove", "--force", str(directory))
    if answer.code == 0:
        remove_tree(aside)
        return None
    if is_own:
        own.unlink(missing_ok=True)
        aside.rename(own)
    return answer.said.strip()


def _hidden_repositories(there: Git) -> list[str]:
    """Repositories below that the index names as submodules, and ``.gitmodules`` does not."""
    named = [path for path, entry in entries_in_index(there).items() if entry.mode == "160000"]
    return [path for path in named if os.path.lexists(there.directory / path / ".git")]


def _needs_force(git: Git, there: Git) -> bool:
    if checked_out_submodules(there):
        return True
    return bool(dirty_paths(there)) and _uncommitted(git, there) is None


def _uncommitted(git: Git, there: Git) -> str | None:
    paths = _dirty(git, there)
    record = record_of(there.directory)
    if not paths or (record is not None and kept_leftovers(there, TaskId(record.task_id)) is not None):
        return None
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"uncommitted: {paths[0]}{more}"


def _dirty(git: Git, there: Git) -> list[str]:
    return [dirty.path for dirty in dirty_work(there, admin_folder(git, there.directory))]


def _there(git: Git, directory: Path) -> Git:
    return seen_by_queue(git, directory)  # an agent may have put a link to another repository there


def _only_in_own_repository(git: Git, tree: WorktreeEntry) -> str | None:
    """Commits on any ref of the checkout's own repository that the owner's repository has on none."""
    own = tree.directory / ".git"
    if own.is_file() or not own.exists():
        return None
    known = git.read("for-each-ref", "--format=^%(objectname)").text
    with isolated_view(git, own) as apart:
        heads = apart.read("for-each-ref", "--format=%(objectname) %(refname)").text.splitlines()
        head = apart.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}").text
        for line in (*([f"{head} HEAD"] if head else []), *heads):
            oid, _, ref = line.partition(" ")
            given = f"{oid}\n{known}\n".encode()
            if apart.read("rev-list", "--max-count=1", "--ignore-missing", "--stdin", stdin=given).text:
                name = ref.removeprefix("refs/heads/")
                return f"commits that only {tree.branch if name == 'HEAD' else name} has"
    return None


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


def _known(git: Git, directory: Path) -> WorktreeEntry:
    directory = Path(os.path.realpath(directory))
    for tree in listed(git):
        if tree.directory == directory:
            return tree
    raise GitError(f"{directory} is not a working tree of {git.directory}")


def _described(directory: Path, record: CheckoutRecord, git: Git, *, is_needed: bool) -> KeptCheckout | None:
    """None: a person has removed it, and git does not know it any more."""
    if not directory.exists() and all(tree.directory != directory for tree in listed(git)):
        return None
    tree = _known(git, directory)
    return KeptCheckout(
        directory,
        record.task_id or directory.name,
        record.repository,
        tree.branch,
        size_of(directory),
        last_used(git, directory),
        "its task runs, or will be tried again" if is_needed else why_kept(git, directory),
    )


def _directories_in(folder: Path) -> list[Path]:
    """Of checkouts, also where the directory is gone."""
    folder = Path(os.path.realpath(folder))
    known = set(checkouts_in(folder))
    linked = {path.parent for path in folder.glob("*/.git") if path.is_file()}
    return sorted(known | linked)


def _earlier(directory: Path, git: Git) -> CheckoutRecord | None:
    """Of a checkout that an earlier release made: a working tree of the owner's repository itself."""
    if not (directory / ".git").is_file():
        return None
    return CheckoutRecord(listed(git.plain(directory))[0].directory, task_id=directory.name)
