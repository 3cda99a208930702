"""What a task that did not succeed left behind, kept on a ref, for people and for the task's next attempt."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.task import TaskId
from task_queue.domain.work.unwanted import CommitRules
from task_queue.git.checkpoint import (
    Checkpoint,
    EarlierWork,
    checkpoint_at,
    facts_in,
    move_ref,
    ref_of,
    snapshot_now,
)
from task_queue.git.program import Git
from task_queue.git.repository import Repository, commit_of, head_of
from task_queue.git.snapshot import LeftOut, commit_tree, steps_between, tree_or_empty

_FACTS = "Leftovers: "


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What a task left in the working tree, or committed."""

    commit: str
    ref: str
    paths: tuple[str, ...]
    since: str
    """The checkpoint that *paths* are compared with."""
    left_out: tuple[LeftOut, ...] = ()

    def show_command(self, root: Path) -> str:
        return f"git -C {shlex.quote(str(root))} diff {self.since} {self.commit}"


def keep_leftovers(
    git: Git,
    repository: Repository,
    *,
    task_id: TaskId,
    since: Checkpoint,
    own_only: bool = True,
    rules: CommitRules | None = None,
) -> Leftovers | None:
    """Keep what changed since the checkpoint on a ref; None if nothing did. Idempotent; raises GitError.

    Not *own_only*: a person may have changed some of it since the task ended.
    """
    there = git.at(repository.root)
    now = snapshot_now(there, repository, since=since, rules=rules)
    steps = steps_between(there, since.commit, now.tree)
    if not steps:
        return None
    ref = ref_of(task_id, "leftovers")
    earlier, head = commit_of(there, ref), head_of(there)
    paths = tuple(step.path for step in steps)
    if earlier is not None and not steps_between(there, earlier, now.tree):
        return Leftovers(earlier, ref, paths, since.commit, now.left_out)
    parents = [head] if head else []
    index = commit_tree(there, now.staged, parents=parents, message="The index\n")
    facts = json.dumps({"since": since.commit, "head": head, "staged": now.staged, "own": own_only})
    message = f"Left behind by {task_id}\n\n{_FACTS}{facts}\n"
    parents += [index, *([earlier] if earlier else [])]
    commit = commit_tree(there, now.tree, parents=parents, message=message)
    move_ref(there, ref, commit, earlier)
    return Leftovers(commit, ref, paths, since.commit, now.left_out)


@dataclass(frozen=True, slots=True)
class LeftState:
    """What the working tree had checked out and staged when something was left there."""

    head: str | None
    staged: str
    """The index, as a tree."""


def left_state(git: Git, left: str) -> LeftState | None:
    """What the leftovers *left* say of that; None where an earlier release did not note it. Raises GitError."""
    try:
        facts = facts_in(git, left, _FACTS)
        return LeftState(facts["head"], facts["staged"])
    except (ValueError, KeyError, TypeError):
        return None


def earlier_work_of(git: Git, task_id: TaskId) -> EarlierWork | None:
    """What the task's earlier attempts left, where it had no other owner already; None if nothing is known."""
    left = commit_of(git, ref_of(task_id, "leftovers"))
    if left is None:
        return None
    try:
        facts = facts_in(git, left, _FACTS)
        since, head, staged = facts["since"], facts["head"], facts["staged"]
        if not facts.get("own", True):
            return None
    except (ValueError, KeyError, TypeError):
        return None  # of a release that did not say
    if commit_of(git, since) is None:
        return None
    others = checkpoint_at(git, since).others_paths
    files = {step.path: step.after for step in steps_between(git, since, left) if step.path not in others}
    against = tree_or_empty(git, head)
    return EarlierWork(files, {step.path: step.after for step in steps_between(git, against, staged)})
