"""Removes the checkouts that no task needs any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import GitError
from task_queue.domain.work import workflow
from task_queue.git.put_away import forget_put_away
from task_queue.git.removal import remove
from task_queue.git.repository import commit_of
from task_queue.git.tidying import tidy
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.runner.checkout import Checkout


def remove_unchanged(checkout: Checkout, committed: workflow.Committed) -> tuple[bool, str | None]:
    """Remove the checkout and the branch of a task that is done and changed nothing.

    Whether they are gone, and what a person should know.
    """
    owner, base = checkout.owner, checkout.checkpoint.base if checkout.checkpoint else None
    if owner is None or checkout.repository is None or checkout.branch is None or base is None:
        return False, None
    folder, ref = checkout.repository.root, f"refs/heads/{checkout.branch}"
    if committed.commits or committed.uncommitted or commit_of(owner, ref) != base:
        return False, None
    try:
        if (why := remove(owner, folder)) is not None:
            return False, f"nothing was committed, but the checkout is kept: {why}"
    except GitError as error:
        return False, f"the checkout could not be removed: {error}"
    forget_put_away(folder)
    # It may have begun on a merge of its dependencies, which their branches have.
    owner.attempt("update-ref", "-d", ref, base)
    return True, "nothing changed, so neither a branch nor a checkout is kept"


def tidy_worktrees(checkout: Checkout, log: AttemptWriter) -> str | None:
    """Remove finished working trees beyond what is to be kept, besides the task's own; what a person should know.

    One with work in it is never removed.
    """
    owner = checkout.owner
    if owner is None:
        return None
    order = checkout.order
    keep = order.git.keep
    others = replace(keep, number=max(0, keep.number - 1))  # the task's own is the newest
    try:
        own = {key_of(order.claim.task_id)}
        kept = tidy(
            owner,
            order.git.worktrees,
            keep=others,
            unfinished=lambda: log.unfinished() | own,
            now=datetime.now(UTC),
        ).kept
    except (GitError, OSError, ValueError) as error:
        return f"earlier working trees could not be looked through: {error}"
    if not kept:
        return None
    (directory, why), *further = kept
    more = f", and {len(further)} more" if further else ""
    return (
        f"beyond the limits, but kept: the working tree of {directory.name} ({why}){more};"
        " see: task-queue worktrees list"
    )
