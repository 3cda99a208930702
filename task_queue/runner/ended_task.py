"""A task that has ended and whose branch is worked on once more: its checkout, its checks, one process at a time.

The task's own checkout need not be there any more. What works on it is started by ``platform/isolated.py``: a request
on standard input, an answer on standard output, and on standard error why there is none. SIGTERM gives up.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import GitError, TaskQueueError
from task_queue.domain.model import WorkProduct
from task_queue.git.guarding import guarded
from task_queue.git.landing import Blocked
from task_queue.git.owner_watch import OwnerWatch
from task_queue.git.repository import facts
from task_queue.git.worktree import seen_by_queue
from task_queue.platform import durable, identity
from task_queue.platform.lockfile import FileLock
from task_queue.platform.records import encode
from task_queue.ports.executor import Order
from task_queue.runner.checkout import Checkout, git_of
from task_queue.runner.checks import Checks
from task_queue.runner.confinement import sandboxed_git
from task_queue.runner.opening import with_port

WITHIN_S = 7200.0
LANDING_LOCK = ".landing"
"""In the folder of a source's working trees: its ended tasks are landed one at a time, also by hand."""
LOOK_AGAIN_S = 0.1


def answered(work: Callable[[], object], *, stop: Callable[[], None]) -> int:
    """Write what *work* comes to, for the process that asked; the exit code."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop())
    try:
        answer = work()
    except (TaskQueueError, OSError) as error:
        sys.stderr.write(error.in_full if isinstance(error, TaskQueueError) else str(error))
        return 1
    sys.stdout.buffer.write(encode(answer))
    return 0


class EndedTask:
    """One further try of something with it."""

    def __init__(self, order: Order, product: WorkProduct) -> None:
        self.order = order
        self.product = product
        self.checks = Checks()
        self.is_stopped = False
        self._watch = OwnerWatch()

    def stop(self) -> None:
        """Give up, and end the command that runs; safe from a signal handler."""
        self.is_stopped = True
        self.checks.stop()

    def alone(self, work: Callable[[Checkout], WorkProduct]) -> WorkProduct:
        """What the work comes to after *work*, while no other ended task of the source is landed. Raises GitError."""
        lock = FileLock(self.order.git.worktrees / LANDING_LOCK, longest_pause_s=LOOK_AGAIN_S)
        durable.make_directory(self.order.git.worktrees)
        try:
            if not lock.take(within_s=WITHIN_S, give_up=lambda: self.is_stopped):
                return self.product
            self._end_processes()  # of a try whose process was killed
            checkout = self._checkout()
            checkout.open_watch(self._watch)  # also of a try that was killed
            product = work(checkout)
            if self.is_stopped:
                return product  # what was there before stays on record, for the next try
            self._watch.look()
            self._watch.close(done=True)
            return self._watch.said_in(product)
        finally:
            lock.release()

    def prove(self, checkout: Checkout, commit: str) -> str | Blocked | None:
        """See ``git.landing.Prove``."""
        self._watch.begin()  # the checks run what the agent wrote
        try:
            return self.checks.prove(
                checkout, commit, proven=None, transcript=NoTranscript(), within_s=WITHIN_S
            )
        finally:
            self._end_processes()  # which a command has left

    def _end_processes(self) -> None:
        """Of this task's tries: no other one runs, and the task has ended."""
        identity.end_tree(self.order.marker, grace_s=0)

    def _checkout(self) -> Checkout:
        """The task's own where it is still there, else what is needed of the owner's repository."""
        order, product = self.order, self.product
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
        order = with_port(order, folder if own else order.git.worktrees)
        return Checkout(
            replace(order, workspace=folder / below) if own else order,
            git=seen_by_queue(git.at(owner.root), folder.resolve()) if own else git,
            repository=own or owner,
            branch=product.branch,
            target=landing.get("target") or product.branch,
            main=owner.root,
            began_at=product.base_commit,
        )


class NoTranscript:
    """Implements ports.executor.Transcript: the attempt's own is closed."""

    def write(self, direction: str, raw: Mapping[str, Any] | str) -> None:
        """Nothing."""
