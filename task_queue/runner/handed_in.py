"""Finishes work that was done elsewhere and came as a git bundle: task's branch, checks, landing.

Started by ``platform/isolated.py``: a ``FinishingRequest`` on standard input, a ``FinishedWork`` on standard output,
and on standard error why there is none. SIGTERM gives up; the whole can be repeated whenever it was killed.
"""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from dataclasses import asdict, replace

from task_queue.domain.document.choices import Isolation, Landing
from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import GitError, TaskQueueError
from task_queue.domain.model import LandingState, Outcome, OutcomeKind, WorkProduct
from task_queue.domain.work.elsewhere import by_queue, taken_over
from task_queue.domain.work.workflow import Committed, Landed, Verified
from task_queue.git.base_bundles import forget_base
from task_queue.git.bundles import BadBundle, bring_bundle
from task_queue.git.changes import changes_between
from task_queue.git.commit import HOOKS_TIMEOUT_S, subjects_of
from task_queue.git.guarding import guarded
from task_queue.git.landing import Blocked, Unproven
from task_queue.git.owner_watch import OwnerWatch
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, facts, is_ancestor, tree_of, without_merges
from task_queue.git.snapshot import steps_between
from task_queue.git.unwanted import unwanted_commits
from task_queue.platform import durable, identity
from task_queue.platform.lockfile import FileLock
from task_queue.platform.records import decode
from task_queue.ports.finishing import FinishedWork, FinishingRequest
from task_queue.runner.checkout import MOST_NAMED, Checkout, git_of
from task_queue.runner.checks import Checks
from task_queue.runner.confinement import sandboxed_git
from task_queue.runner.ended_task import LANDING_LOCK, LOOK_AGAIN_S, WITHIN_S, NoTranscript, answered
from task_queue.runner.landing import held_back, land_branch, left_unproven
from task_queue.runner.opening import with_port


class GaveUpError(TaskQueueError):
    """It was asked to end before the work was finished."""


def main() -> int:
    """Raises UnreadableRecordError where standard input is not a request."""
    finishing = Finishing(decode(FinishingRequest, sys.stdin.buffer.read()))
    return answered(finishing.finish, stop=finishing.stop)


class Finishing:
    """Of one attempt's work."""

    def __init__(self, request: FinishingRequest) -> None:
        self._request = request
        self._order = replace(request.order, workspace=request.order.workspace.resolve())
        self._told = taken_over(request.work.product)
        self._checks = Checks()
        self._stopped = False
        self._watch = OwnerWatch()

    def stop(self) -> None:
        """Give up, and end the command that runs; safe from a signal handler."""
        self._stopped = True
        self._checks.stop()

    def finish(self) -> FinishedWork:
        """How the attempt ended. Raises GaveUpError, GitError, OSError: it can be tried again."""
        lock = FileLock(self._order.git.worktrees / LANDING_LOCK, longest_pause_s=LOOK_AGAIN_S)
        durable.make_directory(self._order.git.worktrees)
        try:
            if not lock.take(within_s=WITHIN_S, give_up=lambda: self._stopped):
                raise GaveUpError("another branch of the source was landing all the while")
            self._end_processes()  # of a try whose process was killed
            outcome, product = self._finish()
            self._watch.look()
            self._watch.close(done=True)
            product = self._watch.said_in(product)
            with suppress(GitError):  # a ref too many does no harm
                forget_base(guarded(git_of(self._order), self._order.git.trusted), self._order.claim.task_id)
            return FinishedWork(outcome, replace(self._request.work, product=product))
        finally:
            lock.release()

    def _finish(self) -> tuple[Outcome, WorkProduct]:
        checkout, bundle, said = self._checkout(), self._request.bundle, self._request.outcome
        owner = checkout.owner
        assert owner is not None
        beside = self._order.git.worktrees / f".{key_of(self._order.claim.task_id)}.bundle"
        try:
            branch = bring_bundle(owner, bundle, self._order.claim.task_id, beside=beside)
        except BadBundle as error:
            if said.kind is not OutcomeKind.SUCCEEDED:
                return said, replace(self._told, notes=(*self._told.notes, error.in_full))
            return Outcome(OutcomeKind.FAILED, f"its commits were not taken: {error.in_full}"), self._told
        checkout = replace(checkout, branch=branch)
        checkout.open_watch(self._watch)
        committed = self._committed(checkout, owner)
        product = self._product(checkout, owner, committed)
        if said.kind is not OutcomeKind.SUCCEEDED:
            return said, product
        verified = self._verified(checkout)
        product = replace(product, verification=verified.records, changed_judges=verified.changed_judges)
        if not verified.passed:
            return self._not_verified(checkout, verified, product)
        proof = "verification passed where it was handed in" if verified.records else said.reason
        outcome = replace(said, reason=proof, evidence=(*said.evidence, *self._ran(verified)))
        if self._order.settings.landing is not Landing.MERGE or not committed.commits:
            return outcome, product
        return outcome, self._land(checkout, owner, committed, product)

    def _checkout(self) -> Checkout:
        """No checkout is made: what is needed of the owner's repository."""
        order = self._order
        git = sandboxed_git(guarded(git_of(order), order.git.trusted), order)
        owner = facts(git)
        if owner is None or owner.bare:
            raise GitError(f"{order.workspace} is not in a git repository with files")
        return Checkout(
            with_port(order, order.git.worktrees),
            git=git,
            repository=owner,
            target=owner.branch,
            main=owner.root,
            began_at=self._request.bundle.base_commit,
        )

    def _committed(self, checkout: Checkout, owner: Git) -> Committed:
        base, tip = self._request.bundle.base_commit, self._request.bundle.tip
        target = commit_of(owner, f"refs/heads/{checkout.target}") if checkout.target else None
        others = [f"^{target}"] if target is not None and not is_ancestor(owner, tip, of=target) else []
        answer = owner.read("rev-list", "--reverse", "--topo-order", tip, f"^{base}", *others)
        commits = tuple(answer.text.split())
        changes = changes_between(owner, base, tip)
        rules = self._order.git.rules
        unwanted = unwanted_commits(
            owner, since=base, but=[target] if others and target else [], rules=rules, tip=tip
        )
        root = shlex.quote(str(checkout.main))
        new_files = sum(step.before.absent for step in steps_between(owner, base, tip))
        return Committed(
            commits=commits,
            branch=checkout.branch,
            stat=changes.summary,
            subjects=subjects_of(owner, commits),
            by_queue=by_queue(self._request.work.product, commits),
            files=changes.files,
            file_count=len(changes.paths),
            see=tuple(f"git -C {root} show {commit}" for commit in commits),
            undo=tuple(f"git -C {root} revert {each}" for each in reversed(without_merges(owner, commits))),
            unwanted=tuple(f"{path} ({why})" for path, why in list(unwanted.items())[:MOST_NAMED]),
            too_many=rules.too_many(new_files) or "",
        )

    def _product(self, checkout: Checkout, owner: Git, committed: Committed) -> WorkProduct:
        """As long as the branch is not merged."""
        git = f"git -C {shlex.quote(str(owner.directory))}"
        branch = shlex.quote(str(committed.branch))
        left = (
            "landing: branch leaves it for you to merge"
            if self._order.settings.landing is Landing.BRANCH
            else "the task ended before its work could be merged"
        )
        return replace(
            self._told,
            isolation=Isolation.WORKTREE,
            base_commit=self._request.bundle.base_commit,
            branch=committed.branch,
            commits=committed.commits,
            subjects=committed.subjects,
            by_queue=committed.by_queue,
            stat=committed.stat,
            files=committed.files,
            file_count=committed.file_count,
            verification=(),
            landing={"state": LandingState.LEFT, "target": checkout.target, "reason": left}
            if committed.commits
            else None,
            see=committed.see,
            keep=(f"{git} merge {branch}",) if committed.commits else (),
            undo=(f"{git} branch -D {branch}",),
            unwanted=committed.unwanted,
            too_many=committed.too_many,
        )

    def _verified(self, checkout: Checkout) -> Verified:
        bundle = self._request.bundle
        self._watch.begin()  # the checks run what the agent wrote
        try:
            verified = self._checks.verify_commit(
                checkout, bundle.tip, bundle.base_commit, NoTranscript(), within_s=WITHIN_S
            )
        finally:
            self._end_processes()  # which a command has left
        self._demand_going_on()
        return verified

    def _not_verified(
        self, checkout: Checkout, verified: Verified, product: WorkProduct
    ) -> tuple[Outcome, WorkProduct]:
        baseline = self._checks.baseline(
            checkout, self._request.bundle.base_commit, NoTranscript(), within_s=WITHIN_S
        )
        self._end_processes()
        self._demand_going_on()
        if baseline is not None:
            product = replace(product, baseline=asdict(baseline))
        reason = "verification failed where the work was handed in"
        return Outcome(OutcomeKind.VERIFY_FAILED, reason, (verified.findings,)), product

    def _ran(self, verified: Verified) -> tuple[str, ...]:
        return tuple(f"passed: {record['command']}" for record in verified.records)

    def _land(
        self, checkout: Checkout, owner: Git, committed: Committed, product: WorkProduct
    ) -> WorkProduct:
        held = held_back(checkout, committed)
        if held is not None:
            return _not_landed(checkout, product, held, LandingState.LEFT)
        proven = tree_of(owner, self._request.bundle.tip) if product.verification else None

        def prove(commit: str) -> str | Blocked | None:
            try:
                return self._checks.prove(
                    checkout, commit, proven=proven, transcript=NoTranscript(), within_s=WITHIN_S
                )
            finally:
                self._end_processes()

        landed = land_branch(
            checkout,
            committed.commits,
            prove=prove,
            give_up=lambda: self._stopped,
            within_s=HOOKS_TIMEOUT_S,
            wait_s=WITHIN_S,
            judged=self._request.bundle.tip,
        )
        failed_on = None
        if isinstance(landed, Unproven):
            failed_on = tree_of(owner, landed.commit)
            landed = left_unproven(checkout, landed)
        if landed.commit is None:
            self._demand_going_on()
            return _not_landed(checkout, product, landed, LandingState.WAITING, failed_on)
        if self._order.settings.verify:
            self._checks.note_landed(checkout, landed.commit)
        return replace(
            product,
            landed=landed.said,
            landing={"state": LandingState.LANDED, "target": checkout.target, "reason": landed.said},
            keep=(),
            undo=committed.undo,
            notes=(*product.notes, *landed.notes),
        )

    def _demand_going_on(self) -> None:
        """Commands that were ended with us say nothing about the work."""
        if self._stopped:
            raise GaveUpError("it was asked to end")

    def _end_processes(self) -> None:
        with suppress(OSError):
            identity.end_tree(self._order.marker, grace_s=0)


def _not_landed(
    checkout: Checkout,
    product: WorkProduct,
    landed: Landed,
    state: LandingState,
    failed_on: str | None = None,
) -> WorkProduct:
    landing = {"state": state, "target": checkout.target, "reason": landed.said}
    return replace(
        product,
        landed=landed.said,
        landing=landing | ({"failed_on": failed_on} if failed_on else {}),
        notes=(*product.notes, *landed.notes),
    )


if __name__ == "__main__":
    sys.exit(main())
