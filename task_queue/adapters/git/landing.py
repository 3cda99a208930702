"""Brings a task's branch into another one, when that is clean; decided by ``git merge-tree`` before anything moves."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.adapters.git.commit import Signature
from task_queue.adapters.git.program import Answer, Git
from task_queue.adapters.git.repository import commit_of, facts, is_ancestor
from task_queue.adapters.git.worktree import listed
from task_queue.domain.errors import GitError

_TRIES = 10
_HOOKS_TIMEOUT_S = 600.0
_MERGE_HOOKS = ("pre-merge-commit", "commit-msg", "post-merge")


@dataclass(frozen=True, slots=True)
class Landed:
    """The target has the branch."""

    commit: str
    """Where the target is now."""
    how: str
    """``fast-forward``, ``merge``, or ``already there``."""
    unrun_hooks: tuple[str, ...] = ()
    """Hooks of the repository that git runs in a working tree only, and the target was in none."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both sides changed the same; the branch and the target stay as they were."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """Something else is in the way; the branch and the target stay as they were."""

    why: str


Landing = Landed | Conflict | Blocked


def land(
    git: Git,
    *,
    branch: str,
    target: str,
    message: str,
    signature: Signature | None = None,
) -> Landing:
    """Merge *branch* into *target*, fast-forward where possible. Idempotent; raises GitError.

    Decides again when *target* moves meanwhile.
    """
    signed = replace(git, extra={**git.extra, **(signature or Signature()).variables})
    with _one_at_a_time(signed):
        for _ in range(_TRIES):
            landing = _land_once(signed, branch, target, message=message)
            if landing is not None:
                return landing
    return Blocked(f"{target} kept moving")


@contextmanager
def _one_at_a_time(git: Git) -> Generator[None, None, None]:
    """Landings of ours wait for each other: in one working tree their merges would get in each other's way.

    Bounded, because every call of git is; the kernel frees the lock of whoever dies.
    """
    path = (
        Path(git.read("rev-parse", "--path-format=absolute", "--git-common-dir").text) / "task-queue-landing"
    )
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _land_once(git: Git, branch: str, target: str, *, message: str) -> Landing | None:
    """None: *target* moved before we could, so everything has to be decided again."""
    old, tip = commit_of(git, f"refs/heads/{target}"), commit_of(git, f"refs/heads/{branch}")
    if old is None or tip is None:
        return Blocked(f"there is no branch {target if old is None else branch}")
    if is_ancestor(git, tip, of=old):
        return Landed(old, "already there")
    fast = is_ancestor(git, old, of=tip)
    tree = None
    if not fast:
        merged = _merge(git, old, tip)
        if isinstance(merged, Conflict | Blocked):
            return merged
        tree = merged
    place = next(
        (tree.directory for tree in listed(git) if tree.branch == target and not tree.prunable), None
    )
    if place is not None:
        return _move_checked_out(git.at(place), branch, target, old=old, message=message)
    return _move_ref(git, target, old=old, tip=tip, tree=tree, message=message)


def _merge(git: Git, old: str, tip: str) -> str | Conflict | Blocked:
    """The tree that merging gives."""
    answer = git.attempt("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", old, tip)
    if answer.code == 0:
        return answer.fields[0]
    if answer.code == 1 and len(answer.fields) > 1:
        return Conflict(tuple(dict.fromkeys(path for path in answer.fields[1:] if path)))
    if "usage: git merge-tree" in answer.said:
        raise GitError(
            f"{git.directory}: this git cannot decide a merge", hint="landing needs git 2.38 or newer"
        )
    return Blocked(answer.said.strip() or f"git merge-tree ended with exit code {answer.code}")


def _move_ref(git: Git, target: str, *, old: str, tip: str, tree: str | None, message: str) -> Landed | None:
    new = tip
    if tree is not None:
        new = git.change(
            "commit-tree", tree, "-p", old, "-p", tip, "-F", "-", stdin=os.fsencode(message)
        ).text
    answer = git.attempt("update-ref", "-m", "task-queue: landed", f"refs/heads/{target}", new, old)
    if answer.code != 0:
        if commit_of(git, f"refs/heads/{target}") != old:
            return None
        raise GitError(f"{git.directory}: {target} could not be moved: {answer.said.strip()}")
    return Landed(new, "fast-forward" if tree is None else "merge", () if tree is None else _hooks(git))


def _move_checked_out(git: Git, branch: str, target: str, *, old: str, message: str) -> Landing | None:
    """In the working tree that has *target*, so that its files follow."""
    place = facts(git)
    if place is None or place.why_not is not None:
        return Blocked(
            f"{target} is checked out in {git.directory}: {place.why_not if place else 'not readable'}"
        )
    tracked = [dirty.path for dirty in place.dirty if dirty.change != "untracked"]
    if tracked:
        more = f" and {len(tracked) - 1} more" if len(tracked) > 1 else ""
        return Blocked(
            f"{target} is checked out in {git.directory} with uncommitted changes: {tracked[0]}{more}"
        )
    if place.branch != target or place.head != old:
        return None
    there = git.within(_HOOKS_TIMEOUT_S)
    tip = f"refs/heads/{branch}"
    answer = there.attempt("merge", "--ff", "--no-edit", "--no-autostash", "-m", message, tip)
    if answer.code == 0:
        new = commit_of(git, "HEAD") or ""
        return Landed(new, "fast-forward" if new == commit_of(git, tip) else "merge")
    return _given_up(there, answer, old=old, tip=commit_of(git, tip), target=target)


def _given_up(git: Git, answer: Answer, *, old: str, tip: str | None, target: str) -> Landing | None:
    """After a merge that a hook, an untracked file or a race refused: back to before it, if it left anything."""
    if tip is not None and commit_of(git, "MERGE_HEAD") == tip:
        git.change("merge", "--abort")  # ours, begun in a clean working tree: this loses nothing
    if commit_of(git, "HEAD") != old:
        return None
    said = "\n".join(part for part in (answer.said.strip(), answer.text.strip()) if part)
    return Blocked(f"{target} is checked out in {git.directory}, and git refused: {said}")


def _hooks(git: Git) -> tuple[str, ...]:
    folder = Path(git.read("rev-parse", "--path-format=absolute", "--git-path", "hooks").text)
    return tuple(name for name in _MERGE_HOOKS if os.access(folder / name, os.X_OK))
