"""What the repository says of the work that a task has landed: where it is, what came after it, what else has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.document.choices import Isolation
from task_queue.domain.errors import GitError
from task_queue.domain.model import WorkProduct
from task_queue.domain.task import TaskId
from task_queue.domain.work.commits import TASK_QUEUE_UNDOES
from task_queue.domain.work.repository_changes import RefMove
from task_queue.domain.work.undoing import LandedWork
from task_queue.git.checkpoint import ref_of
from task_queue.git.landings import landings_in
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, is_ancestor, without_merges


@dataclass(frozen=True, slots=True)
class WorkToUndo:
    """Of an ended task, as its result has it."""

    task_id: TaskId
    target: str
    branch: str | None
    """The task's own; None where it worked in the target itself."""
    commits: tuple[str, ...]
    base_commit: str | None
    """What its work began on."""


def work_to_undo(task_id: TaskId, product: WorkProduct) -> WorkToUndo:
    """Raises GitError where the task made no commits, or on no branch."""
    target = (product.landing or {}).get("target") or product.branch
    if not product.commits or target is None:
        raise GitError(f"task {task_id} made no commits that a branch has: nothing of it can be undone")
    own = product.branch if product.isolation is Isolation.WORKTREE else None
    return WorkToUndo(task_id, target, own, product.commits, product.base_commit)


def landed_work(git: Git, work: WorkToUndo) -> LandedWork:
    """Looks only. Raises GitError where the target or the commits are gone."""
    ref, tip = f"refs/heads/{work.target}", work.commits[-1]
    at = commit_of(git, ref)
    if at is None:
        raise GitError(f"{git.directory}: there is no branch {work.target} any more")
    if commit_of(git, tip) is None:
        raise GitError(f"{git.directory}: the commit {tip[:12]} is there no more")
    missing = sum(not is_ancestor(git, commit, of=at) for commit in work.commits)
    moves = [move for move in _moves(git) if move.ref == ref]
    by_queue = next((move for move in reversed(moves) if _brought(git, move, tip)), None)
    landing = by_queue or _of_commits(git, work, ref)
    if landing is not None and not missing and not is_ancestor(git, landing.new, of=at):
        by_queue, landing = None, _of_commits(git, work, ref)  # the merge is gone, the commits came again
    kept = commit_of(git, f"refs/heads/{work.branch}") if work.branch else None
    return LandedWork(
        target=work.target,
        at=at,
        commits=work.commits,
        missing=missing,
        landing=landing,
        by_queue=by_queue is not None,
        was_moved_back=by_queue is not None and RefMove(ref, by_queue.new, by_queue.old) in moves,
        reverted_by=_reverting(git, landing, at) if landing and not missing else None,
        later=_count(git, at, landing.new) if landing and not missing else 0,
        holders=_holders(git, work, landing.new) if landing and not missing else (),
        is_kept=kept is not None and is_ancestor(git, tip, of=kept),
        ahead=_ahead(git, ref, at),
    )


def _moves(git: Git) -> tuple[RefMove, ...]:
    return landings_in(Path(git.read("rev-parse", "--path-format=absolute", "--git-common-dir").text))


def _brought(git: Git, move: RefMove, tip: str) -> bool:
    """Whether the target has *tip* by that step; what the queue noted need not be there any more."""
    return (
        commit_of(git, move.old) is not None
        and commit_of(git, move.new) is not None
        and is_ancestor(git, tip, of=move.new)
        and not is_ancestor(git, tip, of=move.old)
    )


def _of_commits(git: Git, work: WorkToUndo, ref: str) -> RefMove | None:
    """By the commits themselves, where no merge is among them."""
    base, tip = work.base_commit, work.commits[-1]
    if base is None or commit_of(git, base) is None or not is_ancestor(git, base, of=tip):
        return None
    return RefMove(ref, base, tip) if without_merges(git, work.commits) == work.commits else None


def _reverting(git: Git, landing: RefMove, at: str) -> str | None:
    found = git.read(
        "log",
        "--format=%H",
        "--fixed-strings",
        f"--grep={TASK_QUEUE_UNDOES}: {landing.new}",
        at,
        f"^{landing.new}",
    ).text.split()
    return found[0] if found else None


def _count(git: Git, newer: str, older: str) -> int:
    return int(git.read("rev-list", "--count", newer, f"^{older}").text)


def _holders(git: Git, work: WorkToUndo, commit: str) -> tuple[str, ...]:
    """Other refs that have *commit*, but for what the queue keeps of the task itself."""
    names: Sequence[str] = git.read(
        "for-each-ref", "--format=%(refname)", f"--contains={commit}"
    ).text.split()
    own = (f"refs/heads/{work.target}", f"refs/heads/{work.branch}")
    kept = ref_of(work.task_id, "")
    return tuple(_short(name) for name in names if name not in own and not name.startswith(kept))


def _short(ref: str) -> str:
    for prefix in ("refs/heads/", "refs/remotes/", "refs/tags/"):
        ref = ref.removeprefix(prefix)
    return ref


def _ahead(git: Git, ref: str, at: str) -> str | None:
    upstream = git.read("for-each-ref", "--format=%(upstream)", ref).text
    there = commit_of(git, upstream) if upstream else None
    return _short(upstream) if there is not None and not is_ancestor(git, there, of=at) else None
