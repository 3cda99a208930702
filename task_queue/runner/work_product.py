"""What the finished steps of a task's work came to, for its result and its report."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from task_queue.domain.document.choices import Isolation, Landing
from task_queue.domain.model import LandingState, WorkProduct
from task_queue.domain.work.folder_changes import FolderChanges
from task_queue.domain.work.workflow import (
    Audited,
    Committed,
    Landed,
    Prepared,
    Step,
    Verified,
    base_of,
    baseline_in,
    failed_rounds,
)
from task_queue.git.changes import Changes
from task_queue.git.owner_watch import OwnerWatch
from task_queue.runner.checkout import Checkout
from task_queue.runner.committing import not_committed

S = TypeVar("S")


def product_of(
    checkout: Checkout | None,
    steps: Sequence[Step],
    *,
    left: Changes | FolderChanges | None,
    watch: OwnerWatch,
    changes_expected: bool,
    notes: Iterable[str],
    prompts: Mapping[str, str],
    cost_by_phase: Mapping[str, float],
    seconds_by_phase: Mapping[str, float],
) -> WorkProduct:
    """*checkout* is None where the attempt ended before there was a place to work; *left*, where it succeeded."""
    prepared = _last(steps, Prepared)
    committed = _last(steps, Committed) or not_committed(left if left is not None and left.paths else None)
    landed = _last(steps, Landed)
    verified = _last(steps, Verified)
    return WorkProduct(
        workspace=str(checkout.directory) if checkout else None,
        isolation=checkout.isolation if checkout else Isolation.NONE,
        base_commit=base_of(steps).base_commit if prepared else None,
        branch=committed.branch or (checkout.branch if checkout else None),
        commits=committed.commits,
        subjects=committed.subjects,
        by_queue=committed.by_queue,
        stat=committed.stat,
        files=committed.files,
        file_count=committed.file_count,
        landed=landed.said if landed else None,
        landing=_landing(checkout, committed, landed),
        verification=verified.records if verified else (),
        failed_rounds=failed_rounds(steps),
        baseline=baseline_in(steps),
        changed_judges=verified.changed_judges if verified else (),
        audit=_audit(steps),
        prompts=dict(prompts),
        cost_by_phase=dict(cost_by_phase),
        seconds_by_phase={phase: round(seconds, 3) for phase, seconds in seconds_by_phase.items()},
        see=committed.see,
        keep=_keep(checkout, committed, landed),
        undo=_undo(checkout, committed, landed),
        notes=(
            *(checkout.notes if checkout else ()),
            *committed.notes,
            *(landed.notes if landed else ()),
            *watch.notes,
            *notes,
        ),
        uncommitted=committed.uncommitted,
        unwanted=committed.unwanted,
        too_many=committed.too_many,
        repository_changes=watch.urgent,
        changes_expected=changes_expected,
    )


def _landing(
    checkout: Checkout | None, committed: Committed, landed: Landed | None
) -> dict[str, str | None] | None:
    if checkout is None or checkout.main is None or not committed.commits:
        return None
    if landed is None:
        return {"state": LandingState.LEFT, "target": checkout.target, "reason": _why_left(checkout)}
    return {
        "state": _state(committed, landed),
        "target": checkout.target,
        "reason": landed.said,
    }


def _why_left(checkout: Checkout) -> str:
    if checkout.order.settings.landing is Landing.BRANCH:
        return "landing: branch leaves it for you to merge"
    return "the task ended before its work could be merged"


def _state(committed: Committed, landed: Landed) -> LandingState:
    if landed.commit is not None:
        return LandingState.LANDED
    return LandingState.WAITING if committed.why_held is None else LandingState.LEFT


def _keep(checkout: Checkout | None, committed: Committed, landed: Landed | None) -> tuple[str, ...]:
    """Of a branch that was not merged."""
    if (
        checkout is None
        or checkout.main is None
        or not committed.commits
        or (landed is not None and landed.commit)
    ):
        return ()
    return (f"git -C {shlex.quote(str(checkout.main))} merge {shlex.quote(str(committed.branch))}",)


def _undo(checkout: Checkout | None, committed: Committed, landed: Landed | None) -> tuple[str, ...]:
    """A branch that was not merged is given up; everything else is reverted."""
    if (
        checkout is None
        or checkout.main is None
        or not committed.commits
        or (landed is not None and landed.commit)
    ):
        return committed.undo
    git = f"git -C {shlex.quote(str(checkout.main))}"
    top = checkout.repository.root if checkout.repository else checkout.directory
    return (
        f"rm -r {shlex.quote(str(top))} && {git} worktree prune",
        f"{git} branch -D {shlex.quote(str(committed.branch))}",
    )


def _audit(steps: Sequence[Step]) -> dict[str, object] | None:
    audits = [step for step in steps if isinstance(step, Audited)]
    if not audits:
        return None
    rounds = [
        {
            "round": step.round,
            "verdict": step.verdict,
            "summary": step.summary,
            **step.detail,
            "could_run": None if step.could_run is None else list(step.could_run),
            "runs": list(step.runs),
            "denials": list(step.denials),
        }
        for step in audits
    ]
    return {"verdict": audits[-1].verdict, "summary": audits[-1].summary, "rounds": rounds}


def _last(steps: Sequence[Step], kind: type[S]) -> S | None:
    return next((step for step in reversed(steps) if isinstance(step, kind)), None)
