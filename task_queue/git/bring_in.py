"""Brings the target into a task's branch and checkout, so that the task's work can go on from there.

The order makes a crash harmless: the branch has the merge before the checkpoint says so, and a second call
does what is missing. What is uncommitted in the checkout is kept on a ref before a file of it could be replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.domain.work.commits import Signature
from task_queue.git.checkpoint import Checkpoint, moved_to
from task_queue.git.collect import hand_over
from task_queue.git.leftovers import keep_leftovers
from task_queue.git.program import Git
from task_queue.git.repository import Repository, head_of, is_ancestor, tree_of
from task_queue.git.signing import signs


@dataclass(frozen=True, slots=True)
class Merged:
    """What is to be brought in."""

    target: str
    onto: str
    """The commit of the target."""
    files: str
    """A commit with the files of the merge."""


def bring_in(
    git: Git,
    repository: Repository,
    merged: Merged,
    *,
    task_id: TaskId,
    branch: str,
    since: Checkpoint,
    signature: Signature,
) -> tuple[Checkpoint, str | None]:
    """Merge the target into *branch*, which the checkout has.

    Returns the checkpoint, which begins at the target now, and the merge commit that the branch ends with; None
    where none was needed.
    *git* sees the checkout as the queue does. Idempotent; raises GitError.
    """
    there = git.at(repository.root)
    tip = head_of(there)
    if tip is None:
        raise GitError(f"{repository.root} has no commit checked out")
    merge = None
    if not is_ancestor(there, merged.onto, of=tip):
        merge = _merge(
            there, repository, merged, tip, task_id=task_id, branch=branch, since=since, signature=signature
        )
    elif _parents(there, tip)[1:] == [merged.onto]:  # of a call that was cut off
        merge = tip
    kept = moved_to(there, repository, since, base=merged.onto)
    hand_over(there, branch)
    return kept, merge


def _parents(git: Git, commit: str) -> list[str]:
    return git.read("rev-list", "--no-walk", "--parents", commit).text.split()[1:]


def _merge(
    git: Git,
    repository: Repository,
    merged: Merged,
    tip: str,
    *,
    task_id: TaskId,
    branch: str,
    since: Checkpoint,
    signature: Signature,
) -> str:
    signed = replace(git, extra={**git.extra, **signature.variables})
    commit = signed.change(
        "commit-tree",
        *(["-S"] if signs(git) else ["--no-gpg-sign"]),
        tree_of(git, merged.files),
        *("-p", tip, "-p", merged.onto),
        *("-m", f"Merge {merged.target} into {branch}"),
    ).text
    git.attempt("update-index", "-q", "--refresh")
    if git.attempt("read-tree", "-m", "-u", tip, commit).code != 0:
        keep_leftovers(git, repository, task_id=task_id, since=since)
        git.change("read-tree", "--reset", "-u", commit)
    git.change("update-ref", "-m", f"merge {merged.target}", f"refs/heads/{branch}", commit, tip)
    return commit
