"""Submodules that are checked out in a task's checkout: their repositories are there, and only there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from task_queue.git.nested import checked_out_submodules, inside
from task_queue.git.program import Git
from task_queue.git.repository import dirty_paths
from task_queue.git.snapshot import steps_between
from task_queue.git.untrusted import isolated_view

_SUBMODULE = "160000"


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a commit says of a submodule."""

    path: str
    commit: str


def only_in_submodules(there: Git) -> str | None:
    """Uncommitted files of a submodule that is checked out, or commits that no remote branch of it has."""
    for path, git_dir in checked_out_submodules(there):
        with inside(there, path, git_dir) as (apart, files):
            dirty = dirty_paths(files)
            if dirty:
                return f"uncommitted: {path}/{dirty[0].path}"
            answer = apart.read("rev-list", "--max-count=1", "HEAD", "--all", "--not", "--remotes", "--tags")
            if answer.text:
                return f"commits that only the submodule {path} has"
    return None


def pointers_nowhere_else(owner: Git, there: Git, before: str, after: str) -> tuple[Pointer, ...]:
    """Submodules for which *after* names a commit that neither the owner has nor a remote branch of the submodule.

    *there* is the task's checkout. With such a commit only the task could check out the result.
    """
    changed = [
        Pointer(step.path, step.after.oid)
        for step in steps_between(owner, before, after)
        if step.after.mode == _SUBMODULE
    ]
    if not changed:
        return ()
    own = dict(checked_out_submodules(owner))
    here = dict(checked_out_submodules(there)) if there.directory.is_dir() else {}
    return tuple(
        pointer
        for pointer in changed
        if not _has(owner, own.get(pointer.path), pointer.commit)
        and not _is_on_remote(there, here.get(pointer.path), pointer.commit)
    )


def _has(git: Git, git_dir: Path | None, commit: str) -> bool:
    if git_dir is None:
        return False
    return git.plain(git_dir).ask("cat-file", "-e", f"{commit}^{{commit}}").code == 0


def _is_on_remote(there: Git, git_dir: Path | None, commit: str) -> bool:
    if git_dir is None:
        return False
    with isolated_view(there, git_dir) as apart:
        answer = apart.ask("rev-list", "--max-count=1", commit, "--not", "--remotes")
        return answer.code == 0 and not answer.text
