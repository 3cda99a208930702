"""Clones of the repositories in which claimed tasks work, and bundles of what came of it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from task_queue.domain.document.naming import branch_of
from task_queue.domain.errors import GitError
from task_queue.domain.policy import repository_name
from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import ref_of
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, is_ancestor, tree_of
from task_queue.git.snapshot import commit_tree
from task_queue.platform import durable

_FETCHING_TAKES_S = 3600.0
_ANSWERING_TAKES_S = 30.0
_BASE = "task-queue-base"
_HANDED_IN = "refs/task-queue-handed-in"
_PROTOCOLS = ("https", "http", "ssh", "git")
FetchBase = Callable[[Path], None]
"""Writes a bundle with the base commit into a file. Raises TaskQueueError."""


def clone_at(folder: Path, url: str) -> Path:
    """Where the clone of *url* is, below *folder*."""
    name = repository_name(url).rpartition("/")[2][:40] or "repository"
    return folder / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def prepare_clone(clone: Path, url: str, base_commit: str, fetch_base: FetchBase) -> None:
    """Let *clone* be a clone of *url* with *base_commit* checked out. Raises GitError, TaskQueueError, OSError."""
    if not (clone / ".git" / "HEAD").exists():
        _clone(clone, url)
    git = _git_in(clone)
    if commit_of(git, base_commit) is None:
        git.attempt("fetch", "--quiet", "--no-tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
    if commit_of(git, base_commit) is None:
        _fetch_bundle(git, clone, fetch_base)
    if commit_of(git, base_commit) is None:
        raise GitError(f"{url} does not have {base_commit[:12]}, on which the task begins")
    git.change("checkout", "--quiet", "--force", "-B", _BASE, base_commit)
    git.change("clean", "--quiet", "-ffdx")


def bundle_of(
    clone: Path, branch: str, *, base_commit: str, into: Path, left_by: TaskId | None = None
) -> str | None:
    """Write what *branch* has after *base_commit* into the file *into*; its tip, None without commits.

    *left_by*: with what that task, which did not succeed, left in no commit, as a last one. Raises GitError.
    """
    git = _git_in(clone)
    tip = commit_of(git, f"refs/heads/{branch}")
    if left_by is not None:
        tip = _with_leftovers(git, tip or base_commit, left_by)
    if tip is None or tip == base_commit or not is_ancestor(git, base_commit, of=tip):
        return None
    into.unlink(missing_ok=True)
    git.change("update-ref", _HANDED_IN, tip)
    git.change("bundle", "create", "--quiet", str(into), _HANDED_IN, f"^{base_commit}")
    return tip


def _with_leftovers(git: Git, tip: str, task_id: TaskId) -> str:
    """The commit *tip*, or one after it that holds what was in none: the same each time."""
    left, ref = commit_of(git, ref_of(task_id, "leftovers")), ref_of(task_id, "handed-in")
    if left is None or tree_of(git, left) == tree_of(git, tip):
        return tip
    made = commit_of(git, ref)
    if made is not None and commit_of(git, f"{made}^") == tip and tree_of(git, made) == tree_of(git, left):
        return made
    message = f"Left in no commit by {task_id}\n\nThe attempt did not succeed.\n"
    made = commit_tree(git, tree_of(git, left), parents=[tip], message=message)
    git.change("update-ref", ref, made)
    return made


def is_reachable(folder: Path, url: str) -> bool:
    """Whether the repository *url* answers now; *folder* exists."""
    git = Git(folder, _environment(os.environ), timeout_s=_ANSWERING_TAKES_S, extra=_QUIET)
    try:
        return git.attempt("ls-remote", "--quiet", "--heads", "--", url).code == 0
    except GitError:
        return False


def remove_branch(clone: Path, local_id: TaskId) -> None:
    """Remove what is left of a task whose commits are on the server. Raises GitError."""
    git = _git_in(clone)
    git.attempt("worktree", "prune")
    git.attempt("branch", "--quiet", "-D", branch_of(local_id))


def _clone(clone: Path, url: str) -> None:
    durable.make_directory(clone.parent)
    unfinished = clone.with_name(f".{clone.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    git = _git_in(clone.parent)
    git.change("clone", "--quiet", "--no-tags", "--no-checkout", "--", url, unfinished.name)
    shutil.rmtree(clone, ignore_errors=True)
    unfinished.rename(clone)


def _fetch_bundle(git: Git, clone: Path, fetch_base: FetchBase) -> None:
    bundle = clone.with_name(f".{clone.name}.base")
    try:
        fetch_base(bundle)
        git.change("fetch", "--quiet", "--no-tags", str(bundle), "+refs/*:refs/task-queue-base/*")
    finally:
        bundle.unlink(missing_ok=True)


def _git_in(directory: Path) -> Git:
    return Git(directory, _environment(os.environ), timeout_s=_FETCHING_TAKES_S, extra=_QUIET)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("GIT_")}


_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
    "GIT_ALLOW_PROTOCOL": ":".join(_PROTOCOLS),
    "GIT_LFS_SKIP_SMUDGE": "1",
}
"""Nothing asks a person who is not there, and no URL starts a program."""
