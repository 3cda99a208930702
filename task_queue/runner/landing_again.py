"""Lands the branch of a task that has ended: what was in the way then may be gone by now.

The checks of what would land are made as in the task. A ``LandingRequest`` comes in, a ``WorkProduct`` goes out; where
it gives up, the branch stays as it is.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace

from task_queue.domain.model import LandingState, WorkProduct
from task_queue.domain.work.workflow import Landed
from task_queue.git.commit import HOOKS_TIMEOUT_S
from task_queue.git.landing import Blocked, Unproven
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, is_ancestor, tree_of
from task_queue.platform.records import decode
from task_queue.ports.landing import LandingRequest
from task_queue.runner.checkout import Checkout
from task_queue.runner.ended_task import WITHIN_S, EndedTask, answered
from task_queue.runner.landing import land_branch, left_unproven

_AS_BEFORE = "the checks failed on these very files before"


def main() -> int:
    """Raises UnreadableRecordError where standard input is not a request."""
    landing = LandingAgain(decode(LandingRequest, sys.stdin.buffer.read()))
    return answered(landing.land, stop=landing.stop)


class LandingAgain:
    """One further try."""

    def __init__(self, request: LandingRequest) -> None:
        self._task = EndedTask(request.order, request.product)
        self._product = product = request.product
        self._failed_on = None if request.check_anew else (product.landing or {}).get("failed_on")

    def stop(self) -> None:
        """Give up, and end the command that runs; safe from a signal handler."""
        self._task.stop()

    def land(self) -> WorkProduct:
        """What the work comes to now. Raises GitError."""
        return self._task.alone(self._land)

    def _land(self, checkout: Checkout) -> WorkProduct:
        assert checkout.owner is not None
        if commit_of(checkout.owner, f"refs/heads/{checkout.branch}") is None:
            return self._without_branch(checkout, checkout.owner)

        def prove(commit: str) -> str | Blocked | None:
            assert checkout.owner is not None
            if self._failed_on is not None and tree_of(checkout.owner, commit) == self._failed_on:
                return Blocked(_AS_BEFORE)
            return self._task.prove(checkout, commit)

        landed = land_branch(
            checkout,
            self._product.commits,
            prove=prove,
            give_up=lambda: self._task.is_stopped,
            within_s=HOOKS_TIMEOUT_S,
            wait_s=WITHIN_S,
        )
        if self._task.is_stopped and not (isinstance(landed, Landed) and landed.commit):
            return self._product
        failed_on = self._failed_on
        if isinstance(landed, Unproven):
            assert checkout.owner is not None
            failed_on = tree_of(checkout.owner, landed.commit)
            landed = left_unproven(checkout, landed)
        if landed.commit is None:
            if _AS_BEFORE in landed.said:
                return self._product
            waiting = {"state": LandingState.WAITING, "target": checkout.target, "reason": landed.said}
            return replace(
                self._product,
                landed=landed.said,
                landing=waiting | ({"failed_on": failed_on} if failed_on else {}),
            )
        if self._task.order.settings.verify:
            self._task.checks.note_landed(checkout, landed.commit)
        return self._is_in_target(checkout, landed)

    def _without_branch(self, checkout: Checkout, owner: Git) -> WorkProduct:
        """A person has deleted the branch: after a merge, or to give up the work."""
        target = commit_of(owner, f"refs/heads/{checkout.target}")
        commits = self._product.commits
        if target is not None and commits and all(is_ancestor(owner, each, of=target) for each in commits):
            return self._is_in_target(
                checkout, Landed(target, f"its commits are in {checkout.target} (already there)")
            )
        gone = f"{checkout.branch} was deleted"
        landing = {"state": LandingState.GIVEN_UP, "target": checkout.target, "reason": gone}
        return replace(self._product, landed=gone, landing=landing, keep=())

    def _is_in_target(self, checkout: Checkout, landed: Landed) -> WorkProduct:
        return replace(
            self._product,
            landed=landed.said,
            landing={"state": LandingState.LANDED, "target": checkout.target, "reason": landed.said},
            keep=(),
            undo=(f"task-queue tasks undo {shlex.quote(self._task.order.claim.task_id)}",),
            notes=(*self._product.notes, *landed.notes),
        )


if __name__ == "__main__":
    sys.exit(main())
