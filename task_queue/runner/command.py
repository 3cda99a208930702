"""A configured command, and after it the task's verification commands: they decide for it, too."""

from __future__ import annotations

import time

from task_queue.agents.command import CommandExecutor
from task_queue.domain.model import Outcome, OutcomeKind, Work, WorkProduct
from task_queue.ports.executor import Order, Stop, Transcript
from task_queue.runner.checkout import Checkout
from task_queue.runner.checks import Checks


class CheckedCommand:
    """Implements ports.executor.Executor for ``command``."""

    def __init__(self) -> None:
        self._command = CommandExecutor()
        self._checks = Checks()

    def stop(self, how: Stop) -> None:
        self._command.stop(how)
        self._checks.stop()

    def execute(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]:
        if not order.settings.verify:
            return self._command.execute(order, transcript)
        # So that recovery never takes the command's end for the end of the attempt.
        transcript.write("note", {"type": "workflow", "name": "verified command"})
        checkout = Checkout(order)
        judges = self._checks.judges_at(checkout)
        ends_at = time.monotonic() + order.settings.timeout.total_seconds()
        outcome, work = self._command.execute(order, transcript)
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return outcome, work
        left_s = ends_at - time.monotonic()
        verified = self._checks.verify(checkout, 1, judges, transcript, within_s=left_s)
        product = WorkProduct(
            str(order.workspace), verification=verified.records, changed_judges=verified.changed_judges
        )
        work = Work(output=work.output, product=product)
        if verified.passed:
            return Outcome(
                OutcomeKind.SUCCEEDED, "exit code 0, and verification passed", outcome.evidence
            ), work
        evidence = (*outcome.evidence, verified.findings)
        return Outcome(OutcomeKind.VERIFY_FAILED, "verification failed", evidence), work
