"""The checks that the agent cannot tamper with: set-up, verification commands, the files that judge."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from task_queue.adapters.git.worktree import fresh_checkout
from task_queue.adapters.transcript import without_secrets
from task_queue.adapters.verification import OVERALL_TIMEOUT_S, Verification, hashes_of
from task_queue.domain.model import Outcome, OutcomeKind
from task_queue.domain.verification import Check, changed_judges, judges_for, passed
from task_queue.domain.workflow import Verified
from task_queue.ports import Order, Transcript
from task_queue.workflow.site import Site


class Checks:
    """The checks of one attempt."""

    def __init__(self) -> None:
        self._verification = Verification()

    def stop(self) -> None:
        """End the command that runs; safe from a signal handler."""
        self._verification.stop()

    def set_up(self, site: Site, transcript: Transcript, *, within_s: float) -> Outcome | None:
        """Run the source's set-up commands in a task's own working tree; the outcome where one fails."""
        for check in self._run(_set_up_of(site), site.order, site.directory, transcript, within_s=within_s):
            if not check.passed:
                evidence = (f"{check.command}: {check.verdict}", check.tail)
                return Outcome(
                    OutcomeKind.UNAVAILABLE, f"set-up command {check.verdict}: {check.command}", evidence
                )
        return None

    def judges_at(self, site: Site) -> dict[str, str]:
        """Hashes of the files that judge, as they are now."""
        return hashes_of(site.directory, _patterns(site.order))

    def verify(
        self,
        site: Site,
        number: int,
        judges: Mapping[str, str],
        transcript: Transcript,
        *,
        within_s: float,
    ) -> Verified:
        """Run the task's commands, if it has any, and compare the files that judge with *judges*.

        *within_s* is what is left of the attempt's time; a command that takes longer did not end in time.
        """
        checks = self._proofs(site, transcript, within_s) if site.order.settings.verify else ()
        changed = changed_judges(judges, self.judges_at(site))
        failed = [check for check in checks if not check.passed]
        return Verified(
            round=number,
            passed=passed(checks) or not site.order.settings.verify,
            records=tuple(asdict(check) for check in checks),
            changed_judges=tuple(f"{judge.path} ({judge.change})" for judge in changed),
            findings="\n\n".join(f"`{check.command}` {check.verdict}:\n\n{check.tail}" for check in failed),
        )

    def _proofs(self, site: Site, transcript: Transcript, within_s: float) -> tuple[Check, ...]:
        """In a fresh checkout of what the task made, where it works in a tree of its own."""
        order = site.order
        with self._place(site) as directory:
            ends_at = time.monotonic() + within_s
            made_ready = self._run(_set_up_of(site), order, directory, transcript, within_s=within_s)
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

    def _place(self, site: Site) -> AbstractContextManager[Path]:
        commit = site.result_commit()
        if site.branch is None or site.git is None or commit is None:
            return nullcontext(site.directory)
        return _Checkout(site, commit)


class _Checkout(AbstractContextManager[Path]):
    """A throw-away checkout of the result, beside the task's working tree; gone afterwards."""

    def __init__(self, site: Site, commit: str) -> None:
        assert site.git is not None
        assert site.repository is not None
        self._below = site.directory.relative_to(site.repository.root)
        place = site.repository.root.with_name(f"{site.repository.root.name}.verify")
        self._checkout = fresh_checkout(site.git, commit, directory=place)

    def __enter__(self) -> Path:
        return self._checkout.__enter__().directory / self._below

    def __exit__(self, *error: object) -> None:
        self._checkout.__exit__(*error)  # type: ignore[arg-type] # handed through as they came


def _set_up_of(site: Site) -> tuple[str, ...]:
    """What makes a fresh tree ready; the workspace itself is its owner's to set up."""
    return tuple(site.order.agent.get("setup", ())) if site.branch else ()


def _patterns(order: Order) -> tuple[str, ...]:
    return judges_for(order.settings.verify, tuple(order.agent.get("judges", ())))
