"""Makes a merge commit, or one that reverts, in a throw-away checkout, through the hooks of the main one.

Git merges there without committing; then its hooks run, one by one and each within what is left of the
time, as git-merge(1) would run them. What would follow in a checkout (``post-merge``) does not belong here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.errors import GitError, GitTookTooLong
from task_queue.git.own_repository import hooks_folder
from task_queue.git.program import Git, said_by
from task_queue.git.repository import tree_of
from task_queue.git.scratch_checkout import scratch_checkout
from task_queue.git.signing import require_signing, signs
from task_queue.git.snapshot import commit_tree, steps_between
from task_queue.git.untrusted import fetch_from_view, isolated_view

_LEAST_S = 1.0
_MESSAGE = Path(".git/MERGE_MSG")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both sides changed the same."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no such merge, for another reason."""

    why: str


def merged_tree(git: Git, old: str, tip: str) -> str | Conflict | Refused:
    """The files that a clean merge of *tip* into *old* has, or what is in its way. Raises GitError."""
    answer = git.attempt("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", old, tip)
    if answer.code == 0:
        return answer.fields[0]
    if answer.code == 1 and len(answer.fields) > 1:
        return Conflict(tuple(dict.fromkeys(path for path in answer.fields[1:] if path)))
    if "usage: git merge-tree" in answer.said:
        raise GitError(
            f"{git.directory}: this git cannot decide a merge", hint="landing needs git 2.38 or newer"
        )
    return Refused(answer.said.strip() or f"git merge-tree ended with exit code {answer.code}")


def merge_commit(
    git: Git,
    *,
    old: str,
    tip: str,
    branch: str,
    message: str,
    beside: Path,
    ends_at: float,
    add_note: Callable[[str], None],
) -> str | Refused:
    """A commit that no branch has: *tip* of *branch*, merged into *old*. What hooks make of its files is left out.

    *beside* is where the throw-away checkout may be; *ends_at*, by the monotonic clock, when the hooks have
    to be done. Raises GitError.
    """
    require_signing(git)
    with scratch_checkout(git, old, directory=beside) as directory:
        there = replace(git.plain(directory), settings=(f"core.hooksPath={hooks_folder(git)}",))
        begun = there.attempt(
            *("merge", "--no-ff", "--no-commit", "--no-edit", "-F", "/dev/stdin", tip),
            stdin=message.encode(errors="surrogateescape"),
        )
        if begun.code != 0:
            return Refused(f"git refused: {said_by(begun)}")
        tree = there.change("write-tree").text
        said = _said_by_hooks(there, f"merge {branch}", first=("pre-merge-commit",), ends_at=ends_at)
        if isinstance(said, Refused):
            return said
        by_hooks = [step.path for step in steps_between(there, tree, there.change("write-tree").text)]
        if by_hooks:
            add_note(
                f"not in the merge, because hooks changed it and nothing judged it: {', '.join(by_hooks)}"
            )
        return _commit(git, there, tree, parents=("-p", old, "-p", tip), message=said)


def reverting_tree(git: Git, at: str, *, before: str, after: str) -> str | Conflict | Refused:
    """The files of *at* without what led from *before* to *after*, a commit that *at* has. Raises GitError."""
    # Merged from this commit, whose parent is *after*: that one is then what both sides began on.
    without = commit_tree(git, tree_of(git, before), parents=(after,), message="Without it")
    return merged_tree(git, at, without)


def revert_commit(
    git: Git, *, old: str, tree: str, branch: str, message: str, beside: Path, ends_at: float
) -> str | Refused:
    """A commit that no branch has: *tree* after *old*, through the hooks for its message. Raises GitError.

    *branch* is what it takes back; *beside* and *ends_at* are as for ``merge_commit``.
    """
    require_signing(git)
    with scratch_checkout(git, old, directory=beside) as directory:
        there = replace(git.plain(directory), settings=(f"core.hooksPath={hooks_folder(git)}",))
        there.change("read-tree", "--reset", "-u", tree)
        (directory / _MESSAGE).write_bytes(message.encode(errors="surrogateescape"))
        said = _said_by_hooks(there, f"undo {branch}", ends_at=ends_at)
    return said if isinstance(said, Refused) else _signed_commit(git, tree, parents=("-p", old), message=said)


def _said_by_hooks(there: Git, action: str, *, first: tuple[str, ...] = (), ends_at: float) -> str | Refused:
    """What the owner's hooks make of the message in a checkout whose index has the files; *first* run before."""
    text, index = there.directory / _MESSAGE, there.directory / ".git" / "index"
    hooked = replace(there.with_index(index), extra={**there.extra, "GIT_REFLOG_ACTION": action})
    of_message = (("prepare-commit-msg", str(text), "merge"), ("commit-msg", str(text)))
    for hook in (first, *of_message) if first else of_message:
        refused = _run(hooked, hook, ends_at)
        if refused is not None:
            return refused
    said = there.read("stripspace", stdin=text.read_bytes()).out.decode(errors="surrogateescape")
    return said if said.strip() else Refused("a hook left no commit message")


def _run(git: Git, hook: tuple[str, ...], ends_at: float) -> Refused | None:
    left_s = max(_LEAST_S, ends_at - time.monotonic())
    try:
        answer = git.within(left_s).run_hook(*hook)
    except GitTookTooLong:
        return Refused(f"the hook {hook[0]} did not end within {left_s:.0f} s, and was ended")
    return Refused(f"the hook {hook[0]} refused: {said_by(answer)}") if answer.code != 0 else None


def _commit(git: Git, there: Git, tree: str, *, parents: tuple[str, ...], message: str) -> str:
    """Signed where the owner's repository says so."""
    files = there.change("commit-tree", "--no-gpg-sign", tree, *parents, "-m", "Files of a merge").text
    ref = f"refs/task-queue/merge-{os.getpid()}"
    with isolated_view(git, there.directory / ".git") as apart:
        fetch_from_view(git, apart, files, ref)
    try:
        return _signed_commit(git, tree, parents=parents, message=message)
    finally:
        git.change("update-ref", "-d", ref)


def _signed_commit(git: Git, tree: str, *, parents: tuple[str, ...], message: str) -> str:
    switches = ["-S"] if signs(git) else []
    text = message.encode(errors="surrogateescape")
    return git.change("commit-tree", *switches, tree, *parents, "-F", "-", stdin=text).text
