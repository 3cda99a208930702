"""The last phase of a task in a checkout of its own: its branch is merged, or goes back with the target merged in."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace

from task_queue.domain.work.commits import message_of
from task_queue.domain.work.workflow import Committed, Landed
from task_queue.git.bring_in import Merged, bring_in
from task_queue.git.landing import Advanced, Blocked, LandingPlan, Prove, Unproven, land
from task_queue.git.merging import Conflict
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, is_ancestor
from task_queue.git.starting_point import lacking
from task_queue.git.submodules import pointers_nowhere_else
from task_queue.runner.checkout import Checkout
from task_queue.runner.committing import signature_of


def held_back(checkout: Checkout, committed: Committed) -> Landed | None:
    """Why a person has to decide first what is to become of the commits; None where they may land."""
    why = committed.why_held
    return None if why is None else Landed(None, f"{checkout.branch} was not merged: {why}")


def land_branch(
    checkout: Checkout,
    commits: Sequence[str],
    *,
    prove: Prove,
    give_up: Callable[[], bool],
    within_s: float,
    wait_s: float,
    judged: str | None = None,
) -> Landed | Unproven:
    """Merge the task's branch, with *commits*, into the one it came from, once *prove* has passed what would land.

    *within_s* is for the hooks, *wait_s* for its turn. *judged* is the commit of
    the branch that may land, and no later one.
    """
    main = checkout.owner
    if main is None or checkout.repository is None or checkout.branch is None or checkout.target is None:
        return Landed(None, "not merged: the workspace has no branch checked out")
    stuck = _pointers_nowhere_else(checkout, main)
    if stuck:
        return Landed(None, f"{checkout.branch} was not merged: {stuck}")
    order, target = checkout.order, checkout.target
    tip = commit_of(main, f"refs/heads/{target}")
    unlanded = lacking(main, tip, order.dependencies) if tip is not None else ()
    if unlanded:
        first = unlanded[0].task_id
        why = f"it builds on {first}, whose commits are not in {target} yet: task-queue tasks land {first}"
        return Landed(None, f"{checkout.branch} was not merged: {why}")
    request = LandingPlan(
        checkout.branch,
        target,
        message=message_of(f"Merge {checkout.branch}: {order.title}", "", {}).rstrip("\n"),
        beside=checkout.beside("merge"),
        marker=order.marker,
        tip=judged,
        prove=prove,
        give_up=give_up,
    )
    notes: list[str] = []
    landing = land(
        main, request, add_note=notes.append, signature=signature_of(order), within_s=within_s, wait_s=wait_s
    )
    match landing:
        case Unproven():
            return landing
        case Advanced(commit=commit) if missing := [
            each for each in commits if not is_ancestor(main, each, of=commit)
        ]:
            why = f"it lacks {', '.join(each[:12] for each in missing)}, which the task made"
        case Advanced(commit=commit, how=how):
            return Landed(commit, f"{checkout.branch} is in {target} ({how})", tuple(dict.fromkeys(notes)))
        case Conflict(paths=paths):
            why = f"it conflicts with {target} in {', '.join(paths)}"
        case Blocked(why=why):
            pass
    return Landed(None, f"{checkout.branch} was not merged: {why}", tuple(dict.fromkeys(notes)))


def left_unproven(checkout: Checkout, refused: Unproven) -> Landed:
    """What to say where there is no implementer who could have another round."""
    first = next((line for line in refused.findings.splitlines() if line.strip()), "").rstrip(":")
    why = f"together with what is in {checkout.target} now, checks fail: {first}"
    return Landed(None, f"{checkout.branch} was not merged: {why}")


def with_target_merged_in(checkout: Checkout, refused: Unproven) -> tuple[Checkout, str | None]:
    """The checkout with the target in the task's branch, and the merge commit, if one was made. Raises GitError."""
    assert checkout.git is not None
    assert checkout.repository is not None
    assert checkout.checkpoint is not None
    assert checkout.branch is not None
    assert checkout.target is not None
    moved, merge = bring_in(
        checkout.git,
        checkout.repository,
        Merged(checkout.target, refused.onto, refused.commit),
        task_id=checkout.order.claim.task_id,
        branch=checkout.branch,
        since=checkout.checkpoint,
        signature=signature_of(checkout.order),
    )
    return replace(checkout, checkpoint=moved), merge


def _pointers_nowhere_else(checkout: Checkout, main: Git) -> str | None:
    """What keeps a branch from landing that names commits of submodules which only the checkout has."""
    assert checkout.repository is not None
    base = checkout.checkpoint.base if checkout.checkpoint else checkout.began_at
    if base is None:
        return None
    root = checkout.repository.root
    there = checkout.git.at(root) if checkout.git else main
    found = pointers_nowhere_else(main, there, base, f"refs/heads/{checkout.branch}")
    if not found:
        return None
    pointer = found[0]
    return (
        f"the submodule {pointer.path} is at {pointer.commit[:12]}, which only the task's checkout has;"
        f" push it first: git -C {shlex.quote(str(root / pointer.path))} push origin HEAD:BRANCH"
    )
