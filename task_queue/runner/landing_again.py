"""Lands the branch of a task that has ended: what was in the way then may be gone by now.

The task's own checkout need not be there any more. The checks of what would land are made as in the task.
Started by ``platform/isolated.py``: a ``LandingRequest`` on standard input, a ``WorkProduct``
on standard output, and on standard error why there is none. SIGTERM gives up; the branch stays as it is.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import GitError, TaskQueueError
from task_queue.domain.model import LandingState, WorkProduct
from task_queue.domain.work.workflow import Landed
from task_queue.git.commit import HOOKS_TIMEOUT_S
from task_queue.git.guarding import guarded
from task_queue.git.landing import Blocked, Unproven
from task_queue.git.owner_watch import OwnerWatch
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, facts, is_ancestor, tree_of, without_merges
from task_queue.git.worktree import seen_by_queue
from task_queue.platform import durable, identity
from task_queue.platform.lockfile import FileLock
from task_queue.platform.records import decode, encode
from task_queue.ports.landing import LandingRequest
from task_queue.runner.checkout import Checkout, git_of
from task_queue.runner.checks import Checks
from task_queue.runner.confinement import sandboxed_git
from task_queue.runner.landing import land_branch, left_unproven

WITHIN_S = 7200.0
LANDING_LOCK = ".landing"
"""In the folder of a source's working trees: its ended tasks are landed one at a time, also by hand."""
LOOK_AGAIN_S = 0.1
_AS_BEFORE = "the checks failed on these very files before"


def main() -> int:
    """Raises UnreadableRecordError where standard input is not a request."""
    landing = LandingAgain(decode(LandingRequest, sys.stdin.buffer.read()))
    signal.signal(signal.SIGTERM, lambda _number, _frame: landing.stop())
    try:
        product = landing.land()
    except (TaskQueueError, OSError) as error:
        sys.stderr.write(error.in_full if isinstance(error, TaskQueueError) else str(error))
        return 1
    sys.stdout.buffer.write(encode(product))
    return 0


class LandingAgain:
    """One further try."""

    def __init__(self, request: LandingRequest) -> None:
        self._order = request.order
        self._product = product = request.product
        self._failed_on = None if request.check_anew else (product.landing or {}).get("failed_on")
        self._checks = Checks()
        self._stopped = False
        self._watch = OwnerWatch()

    def stop(self) -> None:
        """Give up, and end the command that runs; safe from a signal handler."""
        self._stopped = True
        self._checks.stop()

    def land(self) -> WorkProduct:
        """What the work comes to now. Raises GitError."""
        lock = FileLock(self._order.git.worktrees / LANDING_LOCK, longest_pause_s=LOOK_AGAIN_S)
        durable.make_directory(self._order.git.worktrees)
        try:
            if not lock.take(within_s=WITHIN_S, give_up=lambda: self._stopped):
                return self._product
            self._end_processes()  # of a try whose process was killed
            product = self._land()
            if self._stopped:
                return product  # what was there before stays on record, for the next try
            self._watch.look()
            self._watch.close(done=True)
            return self._watch.said_in(product)
        finally:
            lock.release()

    def _end_processes(self) -> None:
        """Of this task's tries: no other one runs, and the task has ended."""
        identity.end_tree(self._order.marker, grace_s=0)

    def _land(self) -> WorkProduct:
        checkout = self._checkout()
        assert checkout.owner is not None
        checkout.open_watch(self._watch)  # also of a try that was killed
        if commit_of(checkout.owner, f"refs/heads/{checkout.branch}") is None:
            return self._without_branch(checkout, checkout.owner)

        def prove(commit: str) -> str | Blocked | None:
            assert checkout.owner is not None
            if self._failed_on is not None and tree_of(checkout.owner, commit) == self._failed_on:
                return Blocked(_AS_BEFORE)
            self._watch.begin()  # the checks run what the agent wrote
            try:
                return self._checks.prove(
                    checkout, commit, proven=None, transcript=NoTranscript(), within_s=WITHIN_S
                )
            finally:
                self._end_processes()  # which a command has left

        landed = land_branch(
            checkout,
            self._product.commits,
            prove=prove,
            give_up=lambda: self._stopped,
            within_s=HOOKS_TIMEOUT_S,
            wait_s=WITHIN_S,
        )
        if self._stopped and not (isinstance(landed, Landed) and landed.commit):
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
        if self._order.settings.verify:
            self._checks.note_landed(checkout, landed.commit)
        return self._is_in_target(checkout, checkout.owner, landed)

    def _without_branch(self, checkout: Checkout, owner: Git) -> WorkProduct:
        """A person has deleted the branch: after a merge, or to give up the work."""
        target = commit_of(owner, f"refs/heads/{checkout.target}")
        commits = self._product.commits
        if target is not None and commits and all(is_ancestor(owner, each, of=target) for each in commits):
            return self._is_in_target(
                checkout, owner, Landed(target, f"its commits are in {checkout.target} (already there)")
            )
        gone = f"{checkout.branch} was deleted"
        landing = {"state": LandingState.GIVEN_UP, "target": checkout.target, "reason": gone}
        return replace(self._product, landed=gone, landing=landing, keep=())

    def _is_in_target(self, checkout: Checkout, owner: Git, landed: Landed) -> WorkProduct:
        git = f"git -C {shlex.quote(str(checkout.main))}"
        own = without_merges(owner, self._product.commits)
        return replace(
            self._product,
            landed=landed.said,
            landing={"state": LandingState.LANDED, "target": checkout.target, "reason": landed.said},
            keep=(),
            undo=tuple(f"{git} revert {commit}" for commit in reversed(own)),
            notes=(*self._product.notes, *landed.notes),
        )

    def _checkout(self) -> Checkout:
        """The task's own where it is still there, else what is needed of the owner's repository."""
        order, product = self._order, self._product
        landing: Mapping[str, Any] = product.landing or {}
        git = sandboxed_git(guarded(git_of(order), order.git.trusted), order)
        owner = facts(git)
        if owner is None or owner.bare:
            raise GitError(f"{order.workspace} is not in a git repository any more")
        folder = order.git.worktrees / key_of(order.claim.task_id)
        below = order.workspace.resolve().relative_to(owner.root.resolve())
        own = (
            facts(seen_by_queue(git.at(owner.root), folder.resolve())) if (folder / ".git").is_dir() else None
        )
        return Checkout(
            replace(order, workspace=folder / below) if own else order,
            git=seen_by_queue(git.at(owner.root), folder.resolve()) if own else git,
            repository=own or owner,
            branch=product.branch,
            target=landing.get("target"),
            main=owner.root,
            began_at=product.base_commit,
        )


class NoTranscript:
    """Implements ports.executor.Transcript: the attempt's own is closed."""

    def write(self, direction: str, raw: Mapping[str, Any] | str) -> None:
        """Nothing."""


if __name__ == "__main__":
    sys.exit(main())
