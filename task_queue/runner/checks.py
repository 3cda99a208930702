"""The checks that the agent cannot tamper with: set-up, verification commands, the files that judge."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from task_queue.domain.model import Outcome, OutcomeKind
from task_queue.domain.secrets import without_secrets
from task_queue.domain.work.verification import Check, changed_judges, judges_for, passed
from task_queue.domain.work.workflow import Verified
from task_queue.git.scratch_checkout import scratch_checkout
from task_queue.ports.executor import Order, Transcript
from task_queue.runner.checkout import Checkout
from task_queue.runner.verification import OVERALL_TIMEOUT_S, Verification, hashes_of


class Checks:
    """The checks of one attempt."""

    def __init__(self) -> None:
        self._verification = Verification()

    def stop(self) -> None:
        """End the command that runs; safe from a signal handler."""
        self._verification.stop()

    def set_up(self, checkout: Checkout, transcript: Transcript, *, within_s: float) -> Outcome | None:
        """Run the source's set-up commands in a task's own working tree; the outcome where one fails."""
        for check in self._run(
            _set_up_of(checkout), checkout.order, checkout.directory, transcript, within_s=within_s
        ):
            if not check.passed:
                evidence = (f"{check.command}: {check.verdict}", check.tail)
                return Outcome(
                    OutcomeKind.UNAVAILABLE, f"set-up command {check.verdict}: {check.command}", evidence
                )
        return None

    def judges_at(self, checkout: Checkout) -> dict[str, str]:
        """Hashes of the files that judge, as they are now."""
        return hashes_of(checkout.directory, _patterns(checkout.order))

    def verify(
        self,
        checkout: Checkout,
        number: int,
        judges: Mapping[str, str],
        transcript: Transcript,
        *,
        within_s: float,
    ) -> Verified:
        """Run the task's commands, if it has any, and compare the files that judge with *judges*.

        *within_s* is what is left of the attempt's time; a command that takes longer did not end in time.
        """
        checks = self._proofs(checkout, transcript, within_s) if checkout.order.settings.verify else ()
        changed = changed_judges(judges, self.judges_at(checkout))
        failed = [check for check in checks if not check.passed]
        return Verified(
            round=number,
            passed=passed(checks) or not checkout.order.settings.verify,
            records=tuple(asdict(check) for check in checks),
            changed_judges=tuple(f"{judge.path} ({judge.change})" for judge in changed),
            findings="\n\n".join(f"`{check.command}` {check.verdict}:\n\n{check.tail}" for check in failed),
        )

    def _proofs(self, checkout: Checkout, transcript: Transcript, within_s: float) -> tuple[Check, ...]:
        """In a fresh checkout of what the task made, where it works in a tree of its own."""
        order = checkout.order
        with self._place(checkout) as directory:
            ends_at = time.monotonic() + within_s
            made_ready = self._run(_set_up_of(checkout), order, directory, transcript, within_s=within_s)
            failed = tuple(check for check in made_ready if not check.passed)
            left_s = ends_at - time.monotonic()
            return failed or self._run(order.settings.verify, order, directory, transcript, within_s=left_s)

    def _run(
        self,
        commands: Sequence[str],
        order: Order,
        directory: Path,
        transcript: Transcript,
        *,
        within_s: float,
    ) -> tuple[Check, ...]:
        checks = self._verification.run(
            commands,
            directory=directory,
            environment=without_secrets(order.env),
            marker=order.marker,
            overall_s=min(OVERALL_TIMEOUT_S, within_s),
        )
        for check in checks:
            transcript.write("note", {"type": "check", **asdict(check)})
        return checks

    def _place(self, checkout: Checkout) -> AbstractContextManager[Path]:
        commit = checkout.result_commit()
        if checkout.owner is None or commit is None:
            return nullcontext(checkout.directory)
        return _ResultCheckout(checkout, commit)


class _ResultCheckout(AbstractContextManager[Path]):
    """A throw-away checkout of the result, beside the task's own; gone afterwards."""

    def __init__(self, checkout: Checkout, commit: str) -> None:
        assert checkout.owner is not None
        assert checkout.repository is not None
        self._below = checkout.directory.relative_to(checkout.repository.root)
        place = checkout.repository.root.with_name(f"{checkout.repository.root.name}.verify")
        self._checkout = scratch_checkout(checkout.owner, commit, directory=place)

    def __enter__(self) -> Path:
        return self._checkout.__enter__() / self._below

    def __exit__(self, *error: object) -> None:
        self._checkout.__exit__(*error)  # type: ignore[arg-type] # handed through as they came


def _set_up_of(checkout: Checkout) -> tuple[str, ...]:
    """What makes a fresh tree ready; the workspace itself is its owner's to set up."""
    return checkout.order.git.setup if checkout.branch else ()


def _patterns(order: Order) -> tuple[str, ...]:
    return judges_for(order.settings.verify, order.git.judges)
