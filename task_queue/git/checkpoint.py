"""What was uncommitted before a task began, kept safe on a ref.

A commit that no branch knows of, below ``refs/task-queue/<task>/``. It looks like a stash: its tree is the
files, its last own parent the index. A later one keeps the earlier as a parent, so that nothing that was
ever kept is lost.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from task_queue.domain.document.naming import ref_part_of
from task_queue.domain.errors import CheckoutLost, GitError
from task_queue.domain.task import TaskId
from task_queue.domain.work.unwanted import CommitRules
from task_queue.git.hidden import Hidden, hidden_now
from task_queue.git.made import committed_as_made, dirty_work, set_apart
from task_queue.git.program import Git
from task_queue.git.repository import Repository, commit_of, dirty_paths, head_of
from task_queue.git.snapshot import (
    MAX_FILE_BYTES,
    Entry,
    LeftOut,
    TreeSnapshot,
    commit_tree,
    steps_between,
    take_snapshot,
    temporary_index,
    tree_or_empty,
    tree_with,
)
from task_queue.git.unwanted import unwanted_files
from task_queue.platform.json_files import object_in

_FACTS = "Checkpoint: "


@dataclass(frozen=True, slots=True)
class EarlierWork:
    """What an earlier attempt of a task left uncommitted: the task's own when it is tried again."""

    files: Mapping[str, Entry]
    staged: Mapping[str, Entry]
    """What the index held at those of these paths where it differed from the last commit."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A working tree as it was when a task began."""

    commit: str
    ref: str
    base: str | None
    """The commit that was checked out; None before the first one."""
    branch: str | None
    staged: str
    """The tree of the index."""
    dirty: dict[str, Entry]
    """What was uncommitted, with what the checkpoint holds there (``absent``: it was deleted)."""
    left_out: tuple[LeftOut, ...] = ()
    """What was uncommitted and is not in the checkpoint."""
    hidden: Hidden | None = None
    """What git did not see then; None in a checkpoint of an earlier release."""

    @property
    def others_paths(self) -> frozenset[str]:
        """Paths that belong to the user or another task: no commit of the queue holds them."""
        return frozenset(self.dirty) | {entry.path for entry in self.left_out}

    def restore_commands(self, root: Path) -> tuple[str, ...]:
        """Commands that bring the files, and then the index, back to what they were. Newer files stay."""
        git = f"git -C {shlex.quote(str(root))}"
        return (
            f"{git} restore --overlay --source={self.commit} --worktree -- :/",
            f"{git} read-tree {self.staged}",
        )


def checkpoint(
    git: Git,
    repository: Repository,
    *,
    task_id: TaskId,
    attempt: int,
    own: EarlierWork | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Checkpoint:
    """Keep *repository* as it stands when the *attempt* begins.

    *own* is the task's from an earlier attempt: where it is still as it was left, the checkpoint has the
    last commit's version, so that it counts as changed by the task.

    There is one also where nothing is uncommitted, so that a crash does not make the task's own changes
    look like those of a person. Raises GitError.
    """
    there = git.at(repository.root)
    ref = ref_of(task_id, "checkpoint")
    earlier = commit_of(there, ref)
    base = head_of(there)
    dirty = dirty_work(there, repository.git_dir)
    kept = take_snapshot(there, repository, dirty=dirty, max_file_bytes=max_file_bytes)
    if own is not None:
        kept = _without_own(there, repository, kept, own, base=base)
    is_again = own is not None and earlier is not None
    before_task = _found(there, earlier, ref=ref, attempt=None) if is_again else None
    hidden = (before_task.hidden if before_task else None) or hidden_now(there)
    about = {
        "attempt": attempt,
        "base": base,
        "branch": repository.branch,
        "staged": kept.staged,
        "left_out": [[entry.path, entry.why] for entry in kept.left_out],
        "hidden": asdict(hidden),
    }
    before = [earlier] if earlier else []
    return _published(there, ref, f"Before {task_id}", about, tree=kept.tree, before=before, replaces=earlier)


def continued_checkpoint(git: Git, task_id: TaskId, commit: str) -> tuple[Checkpoint, str | None]:
    """The checkpoint that *commit* is, and what to say where its ref was moved, which it has again.

    Raises CheckoutLost where it is gone: work that cannot be compared with what was there before is done again.
    """
    ref = ref_of(task_id, "checkpoint")
    if commit_of(git, commit) is None:
        raise CheckoutLost(f"the checkpoint {commit[:12]} was removed while the task worked")
    kept = _found(git, commit, ref=ref, attempt=None)
    assert kept is not None
    now = commit_of(git, ref)
    if now == commit:
        return kept, None
    move_ref(git, ref, commit, now)
    was = f"moved to {now[:12]}" if now else "deleted"
    return kept, f"{ref} had been {was}, and is at {commit[:12]} again"


def checkpoint_of_attempt(git: Git, task_id: TaskId, attempt: int) -> Checkpoint | None:
    """What the ref has, if it is of that *attempt*: for steps of a release that did not note the commit."""
    ref = ref_of(task_id, "checkpoint")
    return _found(git, commit_of(git, ref), ref=ref, attempt=attempt)


def moved_to(git: Git, repository: Repository, kept: Checkpoint, *, base: str) -> Checkpoint:
    """The checkpoint *kept* as if the task had begun at the commit *base*, with the same uncommitted files.

    Idempotent; raises GitError.
    """
    if kept.base == base:
        return kept
    there = git.at(repository.root)
    staged = {
        step.path: step.after for step in steps_between(there, tree_or_empty(there, kept.base), kept.staged)
    }
    with temporary_index(there, repository, empty=True) as ours:
        tree, index = tree_with(ours, base, kept.dirty), tree_with(ours, base, staged)
    about = facts_in(there, kept.commit, _FACTS) | {"base": base, "staged": index}
    before = _parents(there, kept)[2 if kept.base else 1 :]  # what *kept* holds, the new one holds as well
    return _published(
        there,
        kept.ref,
        "Moved to the target",
        about,
        tree=tree,
        before=before,
        replaces=commit_of(there, kept.ref),
    )


def forget_checkpoint(git: Git, kept: Checkpoint) -> bool:
    """Remove the ref of a checkpoint that holds no file of another owner; whether it did."""
    if kept.dirty or kept.left_out or len(_parents(git, kept)) > (2 if kept.base else 1):
        return False
    return git.attempt("update-ref", "-d", kept.ref, kept.commit).code == 0


def snapshot_now(
    git: Git, repository: Repository, *, since: Checkpoint | None = None, rules: CommitRules | None = None
) -> TreeSnapshot:
    """The working tree of *repository* at this moment, without what is the work of no agent (``git.made``).

    With *rules*, what a commit should not hold is left out, too, and named; what was uncommitted before the
    task (*since*) is not judged. What is left out is in the tree as it was before.
    """
    there = git.at(repository.root)
    dirty = dirty_paths(there)
    committed = _committed_as_made(there, repository, since, {entry.path for entry in dirty})
    out = set_apart(there, repository.git_dir, dirty) | committed.keys()
    named: dict[str, str] = {}
    if rules is not None:
        earlier = since.others_paths if since else frozenset[str]()
        judged = [entry for entry in dirty if entry.path not in out and entry.path not in earlier]
        named = unwanted_files(there, judged, rules)
        out |= named.keys()
    now = take_snapshot(there, repository, dirty=[entry for entry in dirty if entry.path not in out])
    known = {**(since.dirty if since else {}), **committed}
    left_out = (*now.left_out, *(LeftOut(path, why) for path, why in named.items()))
    return replace(now, tree=_as_before(there, repository, now.tree, out, known), left_out=left_out)


def _committed_as_made(
    git: Git, repository: Repository, since: Checkpoint | None, dirty: Collection[str]
) -> dict[str, Entry]:
    """What was there before of each file that the owner's commands changed, and the agent committed like that."""
    head = head_of(git)
    if since is None or since.base is None or head in (None, since.base):
        return {}
    before = {
        step.path: step.before
        for step in steps_between(git, since.commit, head)
        if not step.before.absent and step.path not in dirty
    }
    made = committed_as_made(git, repository.git_dir, before)
    return {path: entry for path, entry in before.items() if path in made}


def _as_before(
    git: Git, repository: Repository, tree: str, paths: frozenset[str], known: Mapping[str, Entry]
) -> str:
    """*tree* with what was *known* before at *paths*, or else what the last commit has."""
    if not paths:
        return tree
    steps = steps_between(git, tree_or_empty(git, head_of(git)), tree)
    before = {step.path: step.before for step in steps if step.path in paths}
    before |= {path: entry for path, entry in known.items() if path in paths}
    if not before:
        return tree
    with temporary_index(git, repository, empty=True) as ours:
        return tree_with(ours, tree, before)


def checkpoint_at(git: Git, commit: str) -> Checkpoint:
    """The checkpoint that *commit* is, which may be an earlier one of its task. Raises GitError."""
    found = _found(git, commit, ref=commit, attempt=None)
    assert found is not None
    return found


def facts_in(git: Git, commit: str, name: str) -> dict[str, Any]:
    """What a commit of the queue says of itself in its line *name*. Raises ValueError where it says nothing."""
    body = git.read("show", "--no-patch", "--format=%B", commit).text
    line = next((line for line in body.splitlines() if line.startswith(name)), None)
    facts = object_in((line or "").removeprefix(name))
    if isinstance(facts, str):
        raise ValueError(f"{commit}: {name} {facts}")  # noqa: TRY004 - what a commit says, not what code does
    return facts


def _found(git: Git, commit: str | None, *, ref: str, attempt: int | None) -> Checkpoint | None:
    """None: of another attempt."""
    if commit is None:
        return None
    try:
        about = facts_in(git, commit, _FACTS)
        if attempt not in (None, about["attempt"]):
            return None
        base, staged = about["base"], about["staged"]
        left_out = tuple(LeftOut(path, why) for path, why in about["left_out"])
        hidden = Hidden(**about["hidden"]) if "hidden" in about else None
    except (ValueError, KeyError, TypeError) as error:
        raise GitError(
            f"{git.directory}: {ref} was not written by task-queue",
            hint=f"move it away: git update-ref -d {ref}",
        ) from error
    against = tree_or_empty(git, base)
    dirty = {step.path: step.after for step in steps_between(git, against, commit)}
    for step in steps_between(git, against, staged):
        # Staged, and then put back in the file: the file equals the last commit, yet the path is the user's.
        dirty.setdefault(step.path, step.before)
    return Checkpoint(commit, ref, base, about["branch"], staged, dirty, left_out, hidden)


def _published(
    git: Git,
    ref: str,
    subject: str,
    about: Mapping[str, Any],
    *,
    tree: str,
    before: Sequence[str],
    replaces: str | None,
) -> Checkpoint:
    """Keep *tree* as the checkpoint with the facts *about*; *before* are earlier ones that hold something else."""
    parents = [about["base"]] if about["base"] else []
    index = commit_tree(git, about["staged"], parents=parents, message="The index\n")
    message = f"{subject}\n\n{_FACTS}{json.dumps(about)}\n"
    commit = commit_tree(git, tree, parents=[*parents, index, *before], message=message)
    move_ref(git, ref, commit, replaces)
    made = _found(git, commit, ref=ref, attempt=about["attempt"])
    assert made is not None
    return made


def _parents(git: Git, kept: Checkpoint) -> list[str]:
    """Its base, if there is one; its index; earlier checkpoints."""
    return git.read("show", "--no-patch", "--format=%P", kept.commit).text.split()


def _without_own(
    git: Git, repository: Repository, kept: TreeSnapshot, own: EarlierWork, *, base: str | None
) -> TreeSnapshot:
    """*kept* with the last commit's version of what is the task's own and was not touched since."""
    against = tree_or_empty(git, base)
    before = {
        step.path: step.before
        for step in steps_between(git, against, kept.tree)
        if own.files.get(step.path) == step.after
    }
    for step in steps_between(git, against, kept.staged):
        if step.after not in (own.files.get(step.path), own.staged.get(step.path)):
            before.pop(step.path, None)  # another process or the user staged it
    if not before:
        return kept
    with temporary_index(git, repository, empty=True) as ours:
        return replace(
            kept,
            tree=tree_with(ours, kept.tree, before),
            staged=tree_with(ours, kept.staged, before),
        )


def ref_of(task_id: TaskId, what: str) -> str:
    """Where *what* of a task is kept."""
    return f"refs/task-queue/{ref_part_of(task_id)}/{what}"


def move_ref(git: Git, ref: str, commit: str, earlier: str | None) -> None:
    """Raises GitError if another process moved it meanwhile."""
    git.change("update-ref", "--no-deref", ref, commit, earlier or "0" * len(commit))
