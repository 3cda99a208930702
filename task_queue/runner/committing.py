"""Commits what a task changed, and says what a person should know of the commit."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import astuple

from task_queue.domain.errors import GitError
from task_queue.domain.work import workflow
from task_queue.domain.work.commits import TASK_ID, TASK_QUEUE_ATTEMPT, TASK_QUEUE_COST, Signature
from task_queue.git.collect import hand_over
from task_queue.git.commit import doubts_about_agents, final_commit, subjects_of, why_no_signature
from task_queue.git.own_repository import hooks_folder
from task_queue.git.repository import commit_of, head_of, without_merges
from task_queue.git.signing import require_signing
from task_queue.git.snapshot import steps_between
from task_queue.git.unwanted import unwanted_commits
from task_queue.ports.executor import Order
from task_queue.runner.checkout import Checkout, git_of

_MOST_NAMED = 20

_OURS = ("task-queue", "task-queue@localhost") * 2
"""Author and committer, as ``Signature`` has them."""


def commit_work(
    checkout: Checkout, *, attempt: int, cost_usd: float, within_s: float, earlier: Collection[str] = ()
) -> workflow.Committed:
    """Commit what the task changed, hooks *within_s*; *earlier* are commits of earlier rounds."""
    if checkout.git is None or checkout.repository is None or checkout.checkpoint is None:
        return workflow.Committed()
    require_signing(checkout.git)
    order = checkout.order
    trailers = {
        TASK_ID: order.claim.task_id,
        TASK_QUEUE_ATTEMPT: str(attempt),
        TASK_QUEUE_COST: f"{cost_usd:.4f} USD",
    }
    there = checkout.git.at(checkout.repository.root)
    now = checkout.snapshot(checkout.git, checkout.repository)
    changes = checkout.changes_since_checkpoint(now)
    steps = steps_between(checkout.git, checkout.checkpoint.commit, now.tree)
    new_files = sum(step.before.absent for step in steps)
    too_many = order.git.rules.too_many(new_files) or ""
    in_place = checkout.branch is None
    made = final_commit(
        checkout.git,
        checkout.repository,
        since=checkout.checkpoint,
        subject=order.title,
        body="",
        trailers=trailers,
        signature=signature_of(order),
        within_s=within_s,
        rules=order.git.rules,
        held=bool(too_many) and in_place,
        earlier=earlier,
    )
    notes: list[str] = []
    if too_many and in_place:
        notes.append(f"left uncommitted: {too_many}")
    if made.refused is not None:
        notes.append(f"nothing was committed, because git refused it: {made.refused.strip()}")
    nothing = made.refused is not None or (bool(too_many) and in_place)
    uncommitted = [str(file["path"]) for file in changes.files] if nothing and changes else []
    uncommitted += [*made.overlap, *(entry.path for entry in made.left_out)]
    if made.overlap:
        notes.append(
            "left uncommitted, because they held uncommitted changes before the task: "
            + ", ".join(made.overlap)
        )
    if made.taken_along:
        notes.append(
            "the agent's own commits hold earlier uncommitted changes: " + ", ".join(made.taken_along)
        )
    notes += [f"not in the commit: {entry.path}, {entry.why}" for entry in made.left_out]
    if made.ours is not None:
        notes += _after_commit(checkout)
    notes += [f"not in the commit: {inside}" for inside in checkout.inside_submodules()]
    owner = checkout.owner
    target = commit_of(owner, f"refs/heads/{checkout.target}") if owner and checkout.target else None
    notes += doubts_about_agents(
        there,
        [commit for commit in made.by_agent if commit not in earlier],
        signature=signature_of(order),
        but=[target] if target else [],
    )
    if made.rewritten:
        notes.append("the history that the task began on was rewritten")
    root = shlex.quote(str(checkout.main or checkout.repository.root))  # a tree of its own goes away some day
    see = tuple(f"git -C {root} show {commit}" for commit in made.all)
    own = without_merges(checkout.git, made.all)  # git reverts no merge without being given a side
    undo = tuple(f"git -C {root} revert {commit}" for commit in reversed(own))
    if checkout.checkpoint.dirty:
        notes.append("your uncommitted changes from before the task are kept on " + checkout.checkpoint.ref)
        undo += checkout.checkpoint.restore_commands(checkout.repository.root)
    return workflow.Committed(
        commits=made.all,
        branch=checkout.branch or made.branch,
        stat=changes.summary,
        subjects=subjects_of(checkout.git, made.all),
        by_queue=tuple(commit for commit in made.all if commit == made.ours or commit in earlier),
        files=changes.files,
        file_count=len(changes.paths),
        notes=tuple(notes),
        see=see,
        undo=undo,
        uncommitted=tuple(uncommitted[:_MOST_NAMED]),
        unwanted=_unwanted(checkout),
        too_many=too_many,
    )


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
    return tuple(f"{path} ({why})" for path, why in list(found.items())[:_MOST_NAMED])


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
