"""Where an auditor works: a checkout of what is judged, which is thrown away, and the commands that may run there.

They run as ``verify`` commands do: in the same sandbox, with the same variables, in bounded time, after ``setup``.
The files of the result are put back after each, so that what the auditor reads is what it judges. In place, and without
git, there is no such checkout: the auditor only reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from task_queue.agents.claude.checks_tool import TOOL, BenchAnswer
from task_queue.domain.errors import GitError
from task_queue.domain.permission.audit_commands import AuditCommands
from task_queue.domain.permission.profiles import DeniedBy, permissions_for
from task_queue.domain.work.verification import Check
from task_queue.git.scratch_checkout import ScratchCheckout, restorable_checkout
from task_queue.ports.executor import Order, Transcript
from task_queue.runner.checkout import Checkout, named
from task_queue.runner.checks import Checks
from task_queue.runner.ready import CommandPlace
from task_queue.runner.verification import COMMAND_TIMEOUT_S

_SHOWN_BYTES = 16_000
_KEPT_CHARS = 2000
_MARGIN_S = 60.0
"""For the checkout: files that are put back."""


class AuditBench:
    """Implements agents.claude.checks_tool.Bench in one throw-away checkout."""

    def __init__(
        self, checkout: Checkout, scratch: ScratchCheckout, transcript: Transcript, *, ends_at: float
    ) -> None:
        self._checkout = checkout
        self._scratch = scratch
        self._transcript = transcript
        self._ends_at = ends_at
        self._checks = Checks()
        self._alone = threading.Lock()
        self._is_set_up = False
        self._commands = commands_of(checkout.order)
        self._runs: list[Check] = []
        self.denials: list[dict[str, Any]] = []
        self.broken: str | None = None
        """Why the auditor cannot have seen what it judges."""

    @property
    def directory(self) -> Path:
        """The folder that the workspace is in the checkout."""
        assert self._checkout.repository is not None
        return self._scratch.directory / self._checkout.directory.relative_to(self._checkout.repository.root)

    @property
    def is_as_it_was_made(self) -> bool:
        try:
            return not self._scratch.changed()
        except GitError:
            return False

    @property
    def listed(self) -> tuple[str, ...]:
        return (*self._commands.verify, *self._commands.rules)

    @property
    def longest_s(self) -> float:
        return COMMAND_TIMEOUT_S + _MARGIN_S

    @property
    def runs(self) -> tuple[dict[str, Any], ...]:
        """What ran, in order, as ``Check`` has it."""
        return tuple(asdict(replace(check, tail=check.tail[-_KEPT_CHARS:])) for check in self._runs)

    def run(self, command: str) -> BenchAnswer:
        with self._alone:
            if not self._commands.allows(command):
                return self._denied(command)
            if self.broken is not None:
                return BenchAnswer(self.broken, ran=False)
            ends_at = min(self._ends_at, time.monotonic() + COMMAND_TIMEOUT_S)
            try:
                failed = self._set_up(ends_at)
            except GitError as error:
                return BenchAnswer(
                    f"the checkout could not be set up, so nothing was run: {error}", ran=False
                )
            if failed is not None:
                return BenchAnswer(f"set-up failed, so nothing was run: {_account(failed)}", ran=False)
            (check,) = self._run(command, ends_at)
            self._runs.append(check)
            return BenchAnswer("\n\n".join([_account(check), *self._put_back()]))

    def stop(self) -> None:
        self._checks.stop()

    def _denied(self, command: str) -> BenchAnswer:
        why = "it is neither a verify command of the task nor in audit.allow"
        self.denials.append(
            {
                "tool_name": TOOL,
                "tool_input": {"command": command},
                "denied_by": DeniedBy.OWNER,
                "rule": None,
                "why_no_rule": why,
            }
        )
        listed = "\n".join(self.listed)
        return BenchAnswer(f"Denied: {why}. What may run, as it is written here:\n{listed}", ran=False)

    def _set_up(self, ends_at: float) -> Check | None:
        """Before the first command; the set-up command that failed, if one does."""
        if self._is_set_up:
            return None
        checks = self._checks.set_up_beside(
            self._checkout,
            self._scratch.commit,
            self._place,
            self._transcript,
            within_s=ends_at - time.monotonic(),
        )
        failed = next((check for check in checks if not check.passed), None)
        # What it changed of the result is put back after the command, and needed by the next one.
        self._is_set_up = failed is None and not self._scratch.changed()
        return failed

    def _run(self, command: str, ends_at: float) -> tuple[Check, ...]:
        return self._checks.run_in(
            (command,),
            self._checkout,
            self._place,
            self._transcript,
            purpose="audit",
            within_s=ends_at - time.monotonic(),
            tail_bytes=_SHOWN_BYTES,
        )

    @property
    def _place(self) -> CommandPlace:
        return CommandPlace(self._scratch.directory, self.directory)

    def _put_back(self) -> list[str]:
        try:
            changed = self._scratch.put_back()
        except GitError as error:
            self.broken = f"the files of the result could not be put back after a command: {error}"
            return [self.broken]
        return [f"Files of the result had changed, and were put back: {named(changed)}"] if changed else []


@contextmanager
def bench_for(
    checkout: Checkout, tree: str, transcript: Transcript, *, within_s: float
) -> Generator[AuditBench | None, None, None]:
    """For the auditor of *tree*; None where there can be no checkout of it. Gone afterwards. Raises GitError."""
    commit = checkout.commit_for(tree) if checkout.owner is not None else None
    if checkout.owner is None or commit is None:
        yield None
        return
    ends_at = time.monotonic() + within_s
    with restorable_checkout(checkout.owner, commit, directory=checkout.beside("audit")) as scratch:
        bench = AuditBench(checkout, scratch, transcript, ends_at=ends_at)
        if not _is_within(bench.directory, scratch.directory):
            yield None
            return
        try:
            yield bench
        finally:
            bench.stop()


def _is_within(folder: Path, root: Path) -> bool:
    """Whether the result has *folder*, and no link leads out of its checkout from there."""
    return folder.is_dir() and folder.resolve().is_relative_to(root.resolve())


def commands_of(order: Order) -> AuditCommands:
    """What the auditor of *order* may have run: the owner's word and the task's, as they were before the work."""
    settings = order.settings
    denied = permissions_for(settings.permissions, deny=settings.deny, audits=True).denied
    rules = order.agent.audit_allow
    return AuditCommands(settings.verify, rules, tuple(each.rule for each in denied))


def _account(check: Check) -> str:
    tail = check.tail.strip()
    return f"`{check.command}`: {check.verdict} ({check.duration_ms / 1000:.1f} s)" + (
        f"\n\n{tail}" if tail else "\n\nIt wrote nothing."
    )
