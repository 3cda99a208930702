"""Commits what a task changed, and says what a person should know of the commit."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from dataclasses import astuple, replace

from task_queue.domain.errors import GitError
from task_queue.domain.work import workflow
from task_queue.domain.work.commits import TASK_ID, TASK_QUEUE_ATTEMPT, TASK_QUEUE_COST, Signature
from task_queue.domain.work.folder_changes import FolderChanges
from task_queue.git.changes import Changes
from task_queue.git.collect import hand_over, take_back
from task_queue.git.commit import (
    CommitResult,
    Judged,
    doubts_about_agents,
    final_commit,
    subjects_of,
    why_no_signature,
)
from task_queue.git.own_repository import hooks_folder
from task_queue.git.repository import commit_of, head_of, without_merges
from task_queue.git.signing import require_signing
from task_queue.git.snapshot import steps_between
from task_queue.git.unwanted import unwanted_commits
from task_queue.ports.executor import Order
from task_queue.runner.checkout import MOST_NAMED, Checkout, git_of, named

_OURS = ("task-queue", "task-queue@localhost") * 2
"""Author and committer, as ``Signature`` has them."""


def not_committed(changes: Changes | FolderChanges | None) -> workflow.Committed:
    """What no commit holds: of a folder without git, or of a task that did not succeed."""
    if changes is None:
        return workflow.Committed()
    return workflow.Committed(stat=changes.summary, files=changes.files, file_count=len(changes.paths))


def commit_work(
    checkout: Checkout,
    work: workflow.Implemented,
    *,
    attempt: int,
    cost_usd: float,
    within_s: float,
    earlier: Collection[str] = (),
    made: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
    goes_back: Callable[[Collection[str]], bool] = lambda _: False,
) -> workflow.Committed | None:
    """Commit the *work* that was judged, hooks *within_s*; *earlier* are commits of earlier rounds.

    For *made*, *announce* and *goes_back* see ``final_commit``; None where something goes back to be judged.
    What else differs from the work by now is left out and named.
    """
    if checkout.git is None or checkout.repository is None or checkout.checkpoint is None:
        return not_committed(checkout.changes())
    require_signing(checkout.git)
    order = checkout.order
    trailers = {
        TASK_ID: order.claim.task_id,
        TASK_QUEUE_ATTEMPT: str(attempt),
        TASK_QUEUE_COST: f"{cost_usd:.4f} USD",
    }
    there = checkout.git.at(checkout.repository.root)
    notes: list[str] = []
    head = work.head or (None if work.tree else head_of(there))

    def back() -> None:
        assert checkout.branch is not None
        assert head is not None
        notes.append(take_back(there, order.claim.task_id, branch=checkout.branch, to=head))

    now = checkout.snapshot(checkout.git, checkout.repository)
    tree = work.tree or now.tree
    late = frozenset(step.path for step in steps_between(checkout.git, tree, now.tree))
    changes = checkout.changes_since_checkpoint(replace(now, tree=tree))
    steps = steps_between(checkout.git, checkout.checkpoint.commit, tree)
    new_files = sum(step.before.absent for step in steps)
    too_many = order.git.rules.too_many(new_files) or ""
    in_place = checkout.branch is None
    result = final_commit(
        checkout.git,
        checkout.repository,
        since=checkout.checkpoint,
        judged=Judged(tree, head, now.left_out, late),
        subject=order.title,
        body="",
        trailers=trailers,
        signature=signature_of(order),
        within_s=within_s,
        held=bool(too_many) and in_place,
        made=made,
        announce=announce,
        goes_back=goes_back,
        take_back=back if checkout.branch is not None and head is not None else None,
    )
    if result.to_judge:
        return None
    notes += _differs(result, late)
    if too_many and in_place:
        notes.append(f"left uncommitted: {too_many}")
    if result.refused is not None:
        notes.append(f"nothing was committed, because git refused it: {result.refused.strip()}")
    nothing = result.refused is not None or (bool(too_many) and in_place)
    uncommitted = [str(file["path"]) for file in changes.files] if nothing and changes else []
    uncommitted += [*result.overlap, *(entry.path for entry in result.left_out)]
    if result.overlap:
        notes.append(
            "left uncommitted, because they held uncommitted changes before the task: "
            + ", ".join(result.overlap)
        )
    if result.taken_along:
        notes.append(
            "the agent's own commits hold earlier uncommitted changes: " + ", ".join(result.taken_along)
        )
    notes += [f"not in the commit: {entry.path}, {entry.why}" for entry in result.left_out]
    if result.ours is not None:
        notes += _after_commit(checkout)
    notes += [f"not in the commit: {each}" for each in (*checkout.inside_submodules(), *checkout.hidden())]
    owner = checkout.owner
    target = commit_of(owner, f"refs/heads/{checkout.target}") if owner and checkout.target else None
    notes += doubts_about_agents(
        there,
        [commit for commit in result.by_agent if commit not in earlier],
        signature=signature_of(order),
        but=[target] if target else [],
    )
    if result.rewritten:
        notes.append("the history that the task began on was rewritten")
    root = shlex.quote(str(checkout.main or checkout.repository.root))  # a tree of its own goes away some day
    see = tuple(f"git -C {root} show {commit}" for commit in result.all)
    undo = _undo(checkout, result, root)
    if checkout.checkpoint.dirty:
        notes.append("your uncommitted changes from before the task are kept on " + checkout.checkpoint.ref)
        undo += checkout.checkpoint.restore_commands(checkout.repository.root)
    return workflow.Committed(
        commits=result.all,
        branch=checkout.branch or result.branch,
        stat=changes.summary,
        subjects=subjects_of(checkout.git, result.all),
        by_queue=tuple(commit for commit in result.all if commit == result.ours or commit in earlier),
        files=changes.files,
        file_count=len(changes.paths),
        notes=tuple(notes),
        see=see,
        undo=undo,
        uncommitted=tuple(uncommitted[:MOST_NAMED]),
        unwanted=_unwanted(checkout),
        too_many=too_many,
        unjudged=_unjudged(checkout, result, tree),
    )


def _undo(checkout: Checkout, result: CommitResult, root: str) -> tuple[str, ...]:
    """Once the commits are where they were to be."""
    if not result.all:
        return ()
    if checkout.branch or result.branch:
        return (f"task-queue tasks undo {shlex.quote(checkout.order.claim.task_id)}",)
    assert checkout.git is not None
    own = without_merges(checkout.git, result.all)  # git reverts no merge without being given a side
    return tuple(f"git -C {root} revert {commit}" for commit in reversed(own))


def _differs(result: CommitResult, late: Collection[str]) -> list[str]:
    """What is to be said of all that is not exactly what was judged."""
    notes: list[str] = []
    if result.by_hooks:
        changed = named(result.by_hooks)
        notes.append(
            f"not in the commit, because the repository's hooks changed it and nothing judged it: {changed}"
        )
    if result.late and result.ours is not None:
        commits = ", ".join(commit[:12] for commit in result.late[:MOST_NAMED])
        notes.append(f"commits that came after the verdict, and that nothing judged: {commits}")
    if result.overtaken:
        notes.append(f"left uncommitted, because later commits changed it, too: {named(result.overtaken)}")
    others = sorted(set(late).difference(result.by_hooks))
    if others:
        notes.append(f"not in the commit, because it changed after the verdict: {named(others)}")
    return notes


def _unjudged(checkout: Checkout, result: CommitResult, tree: str) -> str:
    """Why the branch must not land: its last commit is the agent's, with other files than those that passed."""
    if checkout.branch is None or checkout.git is None or result.head is None or result.refused is None:
        return ""
    if not steps_between(checkout.git, tree, result.head):
        return ""
    return "its last commit does not have the files that were judged, and the commit of those was refused"


def _unwanted(checkout: Checkout) -> tuple[str, ...]:
    """What the agent's own commits hold that no commit should."""
    if checkout.git is None or checkout.repository is None or checkout.checkpoint is None:
        return ()
    there = checkout.git.at(checkout.repository.root)
    if head_of(there) is None:
        return ()
    target = f"refs/heads/{checkout.target}"
    apart = (target,) if checkout.branch is not None and checkout.target and commit_of(there, target) else ()
    found = unwanted_commits(there, since=checkout.checkpoint.base, but=apart, rules=checkout.order.git.rules)
    return tuple(f"{path} ({why})" for path, why in list(found.items())[:MOST_NAMED])


def _after_commit(checkout: Checkout) -> list[str]:
    """What is to be said of hooks, and of a checkout that does not show the commit."""
    if checkout.git is None or checkout.repository is None:
        return []
    notes: list[str] = []
    there = checkout.git.at(checkout.repository.root)
    hooks = hooks_folder(there)
    if there.ask("config", "--get", "core.hooksPath").code == 0 and not hooks.is_dir():
        given = (checkout.owner or there).ask("config", "--get", "core.hooksPath")
        if given.code == 0:
            notes.append(f"no hook ran: core.hooksPath is {given.text}, and {hooks} is not there")
    if checkout.branch is not None:
        try:
            hand_over(there, checkout.branch)
        except GitError as error:
            notes.append(f"the repository of the checkout does not show the commit: {error}")
    return notes


def signature_of(order: Order) -> Signature:
    """Author and committer as configured (``git`` in the configuration)."""
    signature = order.git.signature
    if why_no_signature(git_of(order), signature) is None:
        return signature
    # Where git has no configured author, better the queue's name than work that was paid for and not committed.
    return Signature(*(given or ours for given, ours in zip(astuple(signature), _OURS, strict=True)))
