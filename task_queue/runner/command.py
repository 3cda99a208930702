"""A configured command, and after it the task's verification commands: they decide for it, too.

With ``isolation: worktree`` it works in a checkout of its own, which is set up, committed and landed as an agent's.
A command has no session, so nothing of an interrupted attempt is continued but the checkout with its files.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection
from dataclasses import replace
from functools import partial

from task_queue.agents.command import CommandExecutor
from task_queue.domain.attempt.rebuild import CHECKOUT
from task_queue.domain.document.choices import Isolation, Landing
from task_queue.domain.errors import GitError
from task_queue.domain.model import Outcome, OutcomeKind, Work, WorkProduct
from task_queue.domain.permission.profiles import changes_expected
from task_queue.domain.work.workflow import Committed, Implemented, Landed, Prepared, Step, Verified
from task_queue.git.commit import HOOKS_TIMEOUT_S
from task_queue.git.folder_files import FolderFiles, look_at
from task_queue.git.guarding import guarding
from task_queue.git.landing import Blocked, Unproven
from task_queue.git.owner_watch import OwnerWatch
from task_queue.git.program import Git
from task_queue.git.repository import root_of
from task_queue.platform.identity import end_tree
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.executor import Order, Stop, Transcript
from task_queue.runner.checkout import LEAST_FOR_HOOKS_S, Checkout, git_of, outcome_of
from task_queue.runner.checks import Checks
from task_queue.runner.committing import commit_work
from task_queue.runner.landing import held_back, land_branch, left_unproven
from task_queue.runner.opening import open_checkout, with_port
from task_queue.runner.tidying import remove_unchanged, tidy_worktrees
from task_queue.runner.work_product import product_of


class CheckedCommand:
    """Implements ports.executor.Executor for ``command``."""

    def __init__(self, log: AttemptWriter) -> None:
        self._log = log
        self._command = CommandExecutor()
        self._checks = Checks()
        self._asked = False

    def stop(self, how: Stop) -> None:
        self._asked = True
        self._command.stop(how)
        self._checks.stop()

    def execute(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]:
        if order.settings.isolation is Isolation.WORKTREE:
            try:
                checkout = open_checkout(order)
            except GitError as error:
                return Outcome(OutcomeKind.UNAVAILABLE, error.in_full), Work()
            if checkout.branch is not None:
                return self._in_own_checkout(checkout, transcript)
            checkout.leave(done=True)
            outcome, work = self._in_place(order, transcript)
            product = work.product or WorkProduct(str(order.workspace))
            return outcome, replace(work, product=replace(product, notes=(*product.notes, *checkout.notes)))
        return self._in_place(order, transcript)

    def _in_place(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]:
        """Nothing is committed for it; what it changed of the repository besides its files is said."""
        order = with_port(order, order.workspace)
        with guarding(git_of(order), order.git.trusted) as git:
            watch, files = _watch_in_place(git, order), _files_without_git(git, order)
            outcome, work = self._without_git(order, transcript)
            watch.look()
            watch.close(done=outcome.kind is OutcomeKind.SUCCEEDED)
        product = work.product or WorkProduct(str(order.workspace))
        changes = files.changes() if files is not None else None
        if changes is not None and changes.paths:
            product = replace(
                product, stat=changes.summary, files=changes.files, file_count=len(changes.paths)
            )
        product = watch.said_in(product)
        return outcome, work if product == WorkProduct(str(order.workspace)) else replace(
            work, product=product
        )

    def _without_git(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]:
        if not order.settings.verify:
            return self._command.execute(order, transcript)
        _note_more_follows(transcript)
        checkout = Checkout(order)
        judges = self._checks.judges_at(checkout)
        ends_at = time.monotonic() + order.settings.timeout.total_seconds()
        outcome, work = self._command.execute(order, transcript)
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return outcome, work
        left_s = ends_at - time.monotonic()
        verified = self._checks.verify(checkout, 1, judges, transcript, tree="", within_s=left_s)
        product = WorkProduct(
            str(order.workspace), verification=verified.records, changed_judges=verified.changed_judges
        )
        return _after(verified, outcome), Work(output=work.output, product=product)

    def _in_own_checkout(self, checkout: Checkout, transcript: Transcript) -> tuple[Outcome, Work]:
        _note_more_follows(transcript)
        about = {
            "workspace": str(checkout.directory),
            "isolation": checkout.isolation,
            "branch": checkout.branch,
            "base_commit": checkout.checkpoint.base if checkout.checkpoint else None,
        }
        transcript.write("note", {"type": CHECKOUT, **about})
        steps: list[Step] = []
        watch = OwnerWatch()
        notes: list[str] = []
        work, left = Work(), None
        try:
            checkout.open_watch(watch)
            watch.begin()
            outcome, work = self._phases(checkout, transcript, steps, notes)
        except GitError as error:
            outcome = outcome_of(error, checkout)
        succeeded = outcome.kind is OutcomeKind.SUCCEEDED
        watch.look()
        watch.close(done=succeeded)
        if not succeeded:
            try:
                notes += checkout.collect()
                left, kept = checkout.changes(), checkout.keep_leftovers()
            except GitError as error:
                kept = f"what it left could not be kept: {error}"
            notes += [kept] if kept is not None else []
        checkout.leave(done=succeeded)
        committed = next((step for step in steps if isinstance(step, Committed)), None)
        nothing_kept = False
        if succeeded and committed is not None:
            nothing_kept, note = remove_unchanged(checkout, committed)
            notes += [note] if note is not None else []
        untidy = tidy_worktrees(checkout, self._log)
        notes += [untidy] if untidy is not None else []
        product = product_of(
            checkout,
            steps,
            left=left,
            watch=watch,
            notes=(*notes, *self._checks.notes),
            prompts={},
            cost_by_phase={},
            seconds_by_phase={},
            changes_expected=changes_expected(checkout.order.settings, allow_only=False),
        )
        if nothing_kept:
            product = replace(product, branch=None)
        return outcome, replace(work, product=product)

    def _phases(
        self, checkout: Checkout, transcript: Transcript, steps: list[Step], notes: list[str]
    ) -> tuple[Outcome, Work]:
        settings, attempt = checkout.order.settings, checkout.order.claim.attempt
        ends_at = time.monotonic() + settings.timeout.total_seconds()
        failed = self._checks.set_up(checkout, transcript, within_s=ends_at - time.monotonic())
        if failed is not None:
            return failed, Work()
        judges = self._checks.judges_before(checkout)
        steps.append(Prepared(attempt, checkout.checkpoint.base if checkout.checkpoint else None, judges))
        outcome, work = self._command.execute(checkout.order, transcript)
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return outcome, work
        end_tree(checkout.order.marker, root=os.getpid())
        moved = checkout.require_present()
        notes += [moved] if moved is not None else []
        notes += checkout.collect()
        committed = None
        for may_go_back in (True, False):  # what hooks make of the files is verified once
            done = Implemented(1, tree=checkout.state(), head=checkout.head())
            left_s = ends_at - time.monotonic()
            verified = self._checks.verify(checkout, 1, judges, transcript, tree=done.tree, within_s=left_s)
            steps.append(verified)
            if settings.verify:
                outcome = _after(verified, outcome)
            if outcome.kind is not OutcomeKind.SUCCEEDED:
                return outcome, work
            end_tree(checkout.order.marker, root=os.getpid())
            checkout.require_present()
            notes += checkout.collect(late=True)
            for_hooks_s = min(HOOKS_TIMEOUT_S, max(LEAST_FOR_HOOKS_S, ends_at - time.monotonic()))
            goes_back = partial(_goes_back, checkout, done.tree) if may_go_back else _stays
            committed = commit_work(
                checkout, done, attempt=attempt, cost_usd=0.0, within_s=for_hooks_s, goes_back=goes_back
            )
            if committed is not None:
                break
        assert committed is not None
        steps.append(committed)
        if settings.landing is Landing.MERGE and committed.commits:
            steps.append(
                self._landed(
                    checkout, committed, verified, transcript, ends_at=ends_at, for_hooks_s=for_hooks_s
                )
            )
        return outcome, work

    def _landed(
        self,
        checkout: Checkout,
        committed: Committed,
        verified: Verified,
        transcript: Transcript,
        *,
        ends_at: float,
        for_hooks_s: float,
    ) -> Landed:
        """A command has no rounds: where its merge fails the checks, its branch lands once they pass."""
        held = held_back(checkout, committed)
        if held is not None:
            return held

        def prove(commit: str) -> str | Blocked | None:
            left_s = ends_at - time.monotonic()
            return self._checks.prove(
                checkout, commit, proven=verified.tree, transcript=transcript, within_s=left_s
            )

        try:
            landed = land_branch(
                checkout,
                committed.commits,
                prove=prove,
                give_up=lambda: self._asked,
                within_s=for_hooks_s,
                wait_s=max(for_hooks_s, ends_at - time.monotonic()),
                judged=committed.commits[-1],
            )
        except GitError as error:  # the command has run, and the branch is landed later
            return Landed(None, f"{checkout.branch} was not merged: {error}")
        if isinstance(landed, Unproven):
            return left_unproven(checkout, landed)
        if landed.commit is not None:
            self._checks.note_landed(checkout, landed.commit)
        return landed


def _watch_in_place(git: Git, order: Order) -> OwnerWatch:
    """Of a repository that git cannot read nothing is compared: the command does not need it."""
    watch = OwnerWatch()
    with contextlib.suppress(GitError):
        root = root_of(git)
        if root is not None:
            watch.open(
                git.at(root),
                order.claim.task_id,
                worktrees=order.git.worktrees,
                queue_dirs=order.queue_dirs,
                work_in_place=True,
            )
            watch.begin()
    return watch


def _files_without_git(git: Git, order: Order) -> FolderFiles | None:
    """What is in the workspace before the command; None in a repository, or where git cannot say."""
    with contextlib.suppress(GitError):
        return look_at(order) if root_of(git) is None else None
    return None


def _goes_back(checkout: Checkout, tree: str, _: Collection[str]) -> bool:
    """Whether the files are not those of *tree*, which was verified, since hooks changed them."""
    return bool(checkout.changed_since(tree))


def _stays(_: Collection[str]) -> bool:
    return False


def _note_more_follows(transcript: Transcript) -> None:
    """So that recovery never takes the command's end for the end of the attempt."""
    transcript.write("note", {"type": "workflow", "name": "verified command"})


def _after(verified: Verified, outcome: Outcome) -> Outcome:
    if verified.passed:
        return Outcome(OutcomeKind.SUCCEEDED, "exit code 0, and verification passed", outcome.evidence)
    evidence = (*outcome.evidence, verified.findings)
    return Outcome(OutcomeKind.VERIFY_FAILED, "verification failed", evidence)
