"""Brings a task's branch into another one, when that is clean; decided by ``git merge-tree`` before anything moves.

The merge is made away from the checkout that has the target; that one only follows, in one short step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.work.commits import Signature
from task_queue.git.advance import (
    Advance,
    StepRefused,
    TurnNotTaken,
    advance,
    finish_interrupted,
    turn,
)
from task_queue.git.commit import HOOKS_TIMEOUT_S
from task_queue.git.merging import Conflict, Refused, merge_commit, merged_tree
from task_queue.git.own_repository import hooks_folder
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, continues, facts, is_ancestor
from task_queue.git.snapshot import steps_between
from task_queue.git.worktree import checkout_of
from task_queue.platform.identity import own_identity

_TRIES = 10
_AFTER_MERGE = "post-merge"


@dataclass(frozen=True, slots=True)
class Advanced:
    """The target has the branch."""

    commit: str
    """Where the target is now."""
    how: str
    """``fast-forward``, ``merge``, or ``already there``."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Something is in the way; the branch and the target stay as they were."""

    why: str


@dataclass(frozen=True, slots=True)
class Unproven:
    """The checks fail on what the target would become; the branch and the target stay as they were."""

    commit: str
    """What would have landed."""
    onto: str
    """Where the target was."""
    findings: str


LandingOutcome = Advanced | Conflict | Blocked | Unproven
Prove = Callable[[str], str | Blocked | None]
"""Findings of the checks on a commit that is to land, or why they could not be made; None: they passed."""


@dataclass(frozen=True, slots=True)
class LandingPlan:
    """What is to be landed."""

    branch: str
    target: str
    message: str
    """Of the merge commit, if there has to be one."""
    beside: Path
    """Where a throw-away checkout may be."""
    marker: str
    """Of the attempt that lands."""
    tip: str | None = None
    """The commit of the branch that is to land, and no later one; None: wherever the branch is."""
    prove: Prove = lambda _: None
    give_up: Callable[[], bool] = lambda: False
    """Asked while it waits for its turn."""


def land(
    git: Git,
    request: LandingPlan,
    *,
    add_note: Callable[[str], None],
    signature: Signature | None = None,
    within_s: float = HOOKS_TIMEOUT_S,
    wait_s: float = HOOKS_TIMEOUT_S,
) -> LandingOutcome:
    """Merge the branch into its target, fast-forward where it only continues it. Idempotent; raises GitError.

    Branches land in one target one after the other, *wait_s* is how long this one waits for its turn. What
    lands is proven first, and all is decided again when the target moves meanwhile. *within_s* is for the hooks
    of one try. What else a person should know goes to ``add_note``.
    """
    signed = replace(git, extra={**git.extra, **(signature or Signature()).variables})
    try:
        with turn(signed, into=request.target, wait_s=wait_s, give_up=request.give_up):
            for _ in range(_TRIES):
                landing = _land_once(signed, request, add_note=add_note, within_s=within_s)
                if landing is not None:
                    return landing
    except TurnNotTaken as error:
        return Blocked(str(error))
    return Blocked(f"{request.target} kept moving")


def in_the_way(git: Git, place: Path | None, target: str, *, old: str, new: str) -> Blocked | None:
    """Why the checkout that has the target may not follow now; files that the step leaves as they are do not count."""
    if place is None:
        return None
    there = facts(git.at(place))
    if there is None or there.why_not is not None:
        return Blocked(f"{target} is checked out in {place}: {there.why_not if there else 'not readable'}")
    touched = {step.path for step in steps_between(git, old, new)}
    held = [dirty.path for dirty in there.dirty if dirty.change != "untracked" and dirty.path in touched]
    if held:
        more = f" and {len(held) - 1} more" if len(held) > 1 else ""
        return Blocked(f"{target} is checked out in {place} with uncommitted changes: {held[0]}{more}")
    return None


def _land_once(
    git: Git, request: LandingPlan, *, add_note: Callable[[str], None], within_s: float
) -> LandingOutcome | None:
    """None: the target moved before we could, so everything has to be decided again."""
    with turn(git, wait_s=within_s):
        cut_off = finish_interrupted(git, marker=request.marker)
    if cut_off is not None:
        add_note(cut_off)
    branch, target = request.branch, request.target
    old, tip = commit_of(git, f"refs/heads/{target}"), commit_of(git, f"refs/heads/{branch}")
    if old is None:
        return Blocked(f"there is no branch {target} any more: it was deleted or renamed")
    if tip is None:
        return Blocked(f"there is no branch {branch}")
    if request.tip is not None and tip != request.tip:
        add_note(f"{branch} was moved to {tip[:12]} after the verdict: only {request.tip[:12]} was merged")
        tip = request.tip
    if is_ancestor(git, tip, of=old):
        return Advanced(old, "already there")
    place = checkout_of(git, target)
    new = tip
    if not continues(git, old, tip):
        merged = _merged(git, request, place, old=old, tip=tip, add_note=add_note, within_s=within_s)
        if not isinstance(merged, str):
            return Blocked(merged.why) if isinstance(merged, Refused) else merged
        new = merged
    blocked = in_the_way(git, place, target, old=old, new=new)  # before checks run without effect
    if blocked is not None:
        return blocked
    wrong = request.prove(new)
    if wrong is not None:
        return wrong if isinstance(wrong, Blocked) else Unproven(new, old, wrong)
    with turn(git, wait_s=within_s):
        return _advanced(git, request, place, old, new, add_note=add_note, within_s=within_s)


def _merged(
    git: Git,
    request: LandingPlan,
    place: Path | None,
    *,
    old: str,
    tip: str,
    add_note: Callable[[str], None],
    within_s: float,
) -> str | Conflict | Refused | Blocked:
    """The merge commit; its hooks do not run where the merge could not land anyway."""
    files = merged_tree(git, old, tip)
    if not isinstance(files, str):
        return files
    return in_the_way(git, place, request.target, old=old, new=files) or merge_commit(
        git,
        old=old,
        tip=tip,
        branch=request.branch,
        message=request.message,
        beside=request.beside,
        ends_at=time.monotonic() + within_s,
        add_note=add_note,
    )


def _advanced(
    git: Git,
    request: LandingPlan,
    place: Path | None,
    old: str,
    new: str,
    *,
    add_note: Callable[[str], None],
    within_s: float,
) -> LandingOutcome | None:
    """In our turn: move the target, if it is still where it was. None: it is not."""
    target = request.target
    blocked = in_the_way(git, place, target, old=old, new=new)  # another process may work there by now
    if blocked is not None:
        return blocked
    planned = Advance(request.branch, target, old, new, place is not None, request.marker, own_identity())
    done = advance(git, planned, within_s=within_s)
    if isinstance(done, StepRefused):
        moved = commit_of(git, f"refs/heads/{target}") != old
        where = f"{target} is checked out in {place}, and " if place else ""
        return None if moved else Blocked(f"{where}{done.why}")
    if done.note is not None:
        add_note(done.note)
    if place is None and _has_hook(git, _AFTER_MERGE):
        add_note(f"the hook {_AFTER_MERGE} did not run, because {target} is checked out nowhere")
    tip = request.tip or commit_of(git, f"refs/heads/{request.branch}")
    return Advanced(new, "fast-forward" if new == tip else "merge")


def _has_hook(git: Git, name: str) -> bool:
    return os.access(hooks_folder(git) / name, os.X_OK)
