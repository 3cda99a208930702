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
    advance,
    finish_interrupted,
    turn_to_land,
)
from task_queue.git.commit import HOOKS_TIMEOUT_S
from task_queue.git.merging import Conflict, Refused, conflict_of, merge_commit
from task_queue.git.own_repository import hooks_folder
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, facts, is_ancestor
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


Landing = Advanced | Conflict | Blocked


@dataclass(frozen=True, slots=True)
class LandingRequest:
    """What is to be landed."""

    branch: str
    target: str
    message: str
    """Of the merge commit, if there has to be one."""
    beside: Path
    """Where a throw-away checkout may be."""
    marker: str
    """Of the attempt that lands."""


def land(
    git: Git,
    request: LandingRequest,
    *,
    add_note: Callable[[str], None],
    signature: Signature | None = None,
    within_s: float = HOOKS_TIMEOUT_S,
) -> Landing:
    """Merge the branch into its target, fast-forward where possible. Idempotent; raises GitError.

    Decides again when the target moves meanwhile. *within_s* is for waiting and hooks together. What else a
    person should know goes to ``add_note``.
    """
    ends_at = time.monotonic() + within_s
    signed = replace(git, extra={**git.extra, **(signature or Signature()).variables})
    with turn_to_land(signed, wait_s=within_s):
        cut_off = finish_interrupted(signed, marker=request.marker)
        if cut_off is not None:
            add_note(cut_off)
        for _ in range(_TRIES):
            landing = _land_once(signed, request, add_note=add_note, ends_at=ends_at)
            if landing is not None:
                return landing
    return Blocked(f"{request.target} kept moving")


def _land_once(
    git: Git, request: LandingRequest, *, add_note: Callable[[str], None], ends_at: float
) -> Landing | None:
    """None: the target moved before we could, so everything has to be decided again."""
    branch, target = request.branch, request.target
    old, tip = commit_of(git, f"refs/heads/{target}"), commit_of(git, f"refs/heads/{branch}")
    if old is None or tip is None:
        return Blocked(f"there is no branch {target if old is None else branch}")
    if is_ancestor(git, tip, of=old):
        return Advanced(old, "already there")
    place = checkout_of(git, target)
    in_the_way = _in_the_way(git, place, target)  # before hooks run without effect
    if in_the_way is not None:
        return in_the_way
    new = tip
    if not is_ancestor(git, old, of=tip):
        merged = conflict_of(git, old, tip) or merge_commit(
            git,
            old=old,
            tip=tip,
            branch=branch,
            message=request.message,
            beside=request.beside,
            ends_at=ends_at,
        )
        match merged:
            case Conflict():
                return merged
            case Refused(why=why):
                return Blocked(why)
            case str():
                new = merged
        in_the_way = _in_the_way(git, place, target)  # another process may have begun to work there
        if in_the_way is not None:
            return in_the_way
    planned = Advance(branch, target, old, new, place is not None, request.marker, own_identity())
    done = advance(git, planned, within_s=max(1.0, ends_at - time.monotonic()))
    if isinstance(done, StepRefused):
        moved = commit_of(git, f"refs/heads/{target}") != old
        where = f"{target} is checked out in {place}, and " if place else ""
        return None if moved else Blocked(f"{where}{done.why}")
    if done.note is not None:
        add_note(done.note)
    if place is None and _has_hook(git, _AFTER_MERGE):
        add_note(f"the hook {_AFTER_MERGE} did not run, because {target} is checked out nowhere")
    return Advanced(new, "fast-forward" if new == tip else "merge")


def _in_the_way(git: Git, place: Path | None, target: str) -> Blocked | None:
    """Why the checkout that has the target may not follow now."""
    if place is None:
        return None
    there = facts(git.at(place))
    if there is None or there.why_not is not None:
        return Blocked(f"{target} is checked out in {place}: {there.why_not if there else 'not readable'}")
    tracked = [dirty.path for dirty in there.dirty if dirty.change != "untracked"]
    if tracked:
        more = f" and {len(tracked) - 1} more" if len(tracked) > 1 else ""
        return Blocked(f"{target} is checked out in {place} with uncommitted changes: {tracked[0]}{more}")
    return None


def _has_hook(git: Git, name: str) -> bool:
    return os.access(hooks_folder(git) / name, os.X_OK)
