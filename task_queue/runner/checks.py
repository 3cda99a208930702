"""The checks that the agent cannot tamper with: set-up, verification commands, the files that judge."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from hashlib import sha256

from task_queue.domain.attempt.current_phase import CHECK, CHECK_STARTED
from task_queue.domain.model import Outcome, OutcomeKind
from task_queue.domain.work.baseline import Baseline, BaseResult, baseline_of, known_of
from task_queue.domain.work.verification import Check, changed_judges, judges_for, passed
from task_queue.domain.work.workflow import Verified
from task_queue.git.base_results import base_results, keep_base_results
from task_queue.git.landing import Blocked
from task_queue.git.repository import is_ancestor, tree_of
from task_queue.git.scratch_checkout import scratch_checkout
from task_queue.ports.executor import Order, Transcript
from task_queue.runner.checkout import Checkout
from task_queue.runner.confinement import sandbox_for_commands
from task_queue.runner.ready import CommandPlace, Readiness, SetUpFailedError, set_up_of
from task_queue.runner.verification import OVERALL_TIMEOUT_S, TAIL_BYTES, Verification, hashes_of


class Checks:
    """The checks of one attempt."""

    def __init__(self) -> None:
        self._verification = Verification()
        self._proven: set[str] = set()
        self.notes: list[str] = []
        """What a person should know of the set-up."""

    def stop(self) -> None:
        """End the command that runs; safe from a signal handler."""
        self._verification.stop()

    def set_up(self, checkout: Checkout, transcript: Transcript, *, within_s: float) -> Outcome | None:
        """Run the source's set-up commands in a task's own working tree; the outcome where one fails.

        What they make is the work of no agent.
        """
        commands, ends_at = set_up_of(checkout), time.monotonic() + within_s
        with checkout.making() if commands else nullcontext():
            place = _place_of(checkout)
            try:
                if commands:
                    place = replace(place, is_owners=_is_owners(checkout))
                    commands = self._left_to_run(checkout, transcript, within_s)
                left_s = ends_at - time.monotonic()
                checks = self.run_in(commands, checkout, place, transcript, purpose="setup", within_s=left_s)
            except SetUpFailedError as failed:
                checks = failed.checks
        checkout.hide_made()
        for check in checks:
            if not check.passed:
                evidence = (f"{check.command}: {check.verdict}", check.tail)
                return Outcome(
                    OutcomeKind.UNAVAILABLE, f"set-up command {check.verdict}: {check.command}", evidence
                )
        return None

    def judges_before(self, checkout: Checkout) -> dict[str, str]:
        """Hashes of the files that judge, before the task began: an earlier attempt may have changed them."""
        kept = checkout.checkpoint
        if checkout.owner is None or checkout.is_new or kept is None or kept.base is None:
            return self.judges_at(checkout)
        return self.judges_in(checkout, kept.base)

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
        tree: str,
        within_s: float,
    ) -> Verified:
        """Run the task's commands, if it has any, on the files of *tree*, and compare those that judge with *judges*.

        *within_s* is what is left of the attempt's time; a command that takes longer did not end in time.
        """
        commands = checkout.order.settings.verify
        checks = self._on_the_work(checkout, tree, transcript, within_s) if commands else ()
        made = checkout.made()
        changed = [
            judge for judge in changed_judges(judges, self.judges_at(checkout)) if judge.path not in made
        ]
        failed = [check for check in checks if not check.passed]
        return Verified(
            round=number,
            passed=passed(checks) or not commands,
            records=tuple(asdict(check) for check in checks),
            changed_judges=tuple(f"{judge.path} ({judge.change})" for judge in changed),
            findings=_findings(failed),
            tree=tree,
        )

    def verify_commit(
        self, checkout: Checkout, commit: str, base: str, transcript: Transcript, *, within_s: float
    ) -> Verified:
        """The same of *commit*, which was made elsewhere; files that judge are compared with those of *base*."""
        verify = checkout.order.settings.verify
        checks = self._at(checkout, commit, transcript, within_s) if verify else ()
        judges = changed_judges(self.judges_in(checkout, base), self.judges_in(checkout, commit))
        return Verified(
            round=1,
            passed=passed(checks) or not verify,
            records=tuple(asdict(check) for check in checks),
            changed_judges=tuple(f"{judge.path} ({judge.change})" for judge in judges),
            findings=_findings(check for check in checks if not check.passed),
        )

    def prove(
        self, checkout: Checkout, commit: str, *, proven: str | None, transcript: Transcript, within_s: float
    ) -> str | Blocked | None:
        """Run the task's commands on *commit*, which is to land; see ``git.landing.Prove``.

        Not where the files are *proven*, a tree on which all of them passed.
        """
        if not checkout.order.settings.verify:
            return None
        assert checkout.owner is not None
        if tree_of(checkout.owner, commit) != proven:
            ends_at = time.monotonic() + within_s
            checks = self._at(checkout, commit, transcript, within_s)
            failed = [check for check in checks if not check.passed]
            if failed and (time.monotonic() >= ends_at or any(check.interrupted for check in failed)):
                return Blocked("the time was over before the checks of the merge had ended")
            if failed:
                return _findings(failed)
        self._proven.add(commit)
        return None

    def note_landed(self, checkout: Checkout, commit: str) -> None:
        """Remember that all commands passed on *commit*, which the next task begins on.

        Not of a commit that was not proven here: a branch may have been merged by another, and more came after it.
        """
        if commit in self._proven:
            self._keep(checkout, commit, dict.fromkeys(checkout.order.settings.verify, ""))

    def baseline(
        self, checkout: Checkout, commit: str, transcript: Transcript, *, within_s: float
    ) -> Baseline | None:
        """What the task's commands say of *commit*, on which its work begins: run once, then kept.

        None where nothing can be said: in the workspace itself, which is the owner's to make ready; where the
        set-up failed; where the time was over.
        """
        owner, target = checkout.owner, checkout.target
        commands = checkout.order.settings.verify
        if owner is None or target is None or not commands:
            return None
        known = base_results(owner)
        if known_of(known, commands, commit=commit, set_up=_hash_of_set_up(checkout)) is None:
            ends_at = time.monotonic() + within_s
            checks = self._at(checkout, commit, transcript, within_s)
            verdicts = {check.command: "" if check.passed else check.verdict for check in checks}
            cut_short = time.monotonic() >= ends_at or any(check.interrupted for check in checks)
            if cut_short or not verdicts.keys() >= set(commands):
                return None
            self._keep(checkout, commit, verdicts)
            known = base_results(owner)
        found = baseline_of(known, repository=str(owner.directory), target=target, commit=commit)
        is_on_target = is_ancestor(
            owner, commit, of=f"refs/heads/{target}"
        )  # not with a dependency merged in
        return found if is_on_target else replace(found, regressed=())

    def judges_in(self, checkout: Checkout, commit: str) -> dict[str, str]:
        """Hashes of the files that judge, as *commit* has them."""
        with _fresh(checkout, commit) as place:
            return hashes_of(place.directory, _patterns(checkout.order))

    def _keep(self, checkout: Checkout, commit: str, verdicts: Mapping[str, str]) -> None:
        """Remember what each command came to on *commit*; an empty verdict: it passed."""
        assert checkout.owner is not None
        assert checkout.target is not None
        set_up, now = _hash_of_set_up(checkout), datetime.now(UTC)
        keep_base_results(
            checkout.owner,
            [
                BaseResult(checkout.target, commit, command, not verdict, set_up, now, verdict)
                for command, verdict in verdicts.items()
            ],
        )

    def _on_the_work(
        self, checkout: Checkout, tree: str, transcript: Transcript, within_s: float
    ) -> tuple[Check, ...]:
        """In a fresh checkout of *tree*, what the task made, where it works in a tree of its own."""
        commit = checkout.commit_for(tree)
        if checkout.owner is not None and commit is not None:
            return self._at(checkout, commit, transcript, within_s)
        commands = checkout.order.settings.verify
        with checkout.making():
            place = _place_of(checkout)
            return self.run_in(commands, checkout, place, transcript, purpose="verify", within_s=within_s)

    def _at(
        self, checkout: Checkout, commit: str, transcript: Transcript, within_s: float
    ) -> tuple[Check, ...]:
        """In a fresh checkout of *commit*: the set-up commands where one of them fails, else the task's."""
        ends_at = time.monotonic() + within_s
        ready = self._readiness(checkout, transcript, within_s)
        with ready.for_verification(commit) as (place, set_up):
            left_s = ends_at - time.monotonic()
            made_ready = self.run_in(set_up, checkout, place, transcript, purpose="setup", within_s=left_s)
            failed = tuple(check for check in made_ready if not check.passed)
            left_s = ends_at - time.monotonic()
            verify = checkout.order.settings.verify
            return failed or self.run_in(
                verify, checkout, place, transcript, purpose="verify", within_s=left_s
            )

    def _left_to_run(self, checkout: Checkout, transcript: Transcript, within_s: float) -> tuple[str, ...]:
        """The set-up commands without those whose work a new checkout has got from what was kept."""
        kept, repository = checkout.checkpoint, checkout.repository
        if not checkout.is_new or kept is None or kept.base is None or repository is None:
            return set_up_of(checkout)
        return self._readiness(checkout, transcript, within_s).commands_left(kept.base, repository.root)

    def set_up_beside(
        self, checkout: Checkout, commit: str, place: CommandPlace, transcript: Transcript, *, within_s: float
    ) -> tuple[Check, ...]:
        """Make the new checkout of *commit* in *place* ready, as that of a verification is. Raises GitError."""
        ends_at = time.monotonic() + within_s
        try:
            commands = self._readiness(checkout, transcript, within_s).with_owners_files(commit, place.root)
        except SetUpFailedError:  # what the task made may be what mends it
            commands = set_up_of(checkout)
        left_s = ends_at - time.monotonic()
        return self.run_in(commands, checkout, place, transcript, purpose="setup", within_s=left_s)

    def _readiness(self, checkout: Checkout, transcript: Transcript, within_s: float) -> Readiness:
        def run(commands: Sequence[str], place: CommandPlace) -> tuple[Check, ...]:
            return self.run_in(commands, checkout, place, transcript, purpose="setup", within_s=within_s)

        def say(note: str) -> None:
            transcript.write("note", note)
            if note not in self.notes:
                self.notes.append(note)

        return Readiness(checkout, run, say)

    def run_in(
        self,
        commands: Sequence[str],
        checkout: Checkout,
        place: CommandPlace,
        transcript: Transcript,
        *,
        purpose: str,
        within_s: float,
        tail_bytes: int = TAIL_BYTES,
    ) -> tuple[Check, ...]:
        """Run each of *commands* in *place*, in the sandbox that its files need; *within_s* is for all of them."""

        def announce(command: str) -> None:
            transcript.write("note", {"type": CHECK_STARTED, "purpose": purpose, "command": command})

        order = checkout.order
        of_audit = checkout.beside("audit")  # its auditor may be connected already
        checks = self._verification.run(
            commands,
            directory=place.directory,
            environment=order.env_of_checks,
            marker=order.marker,
            overall_s=min(OVERALL_TIMEOUT_S, within_s),
            sandbox=None
            if place.is_owners
            else sandbox_for_commands(
                order,
                place.root,
                owner=checkout.owner,
                hidden=() if place.root.resolve() == of_audit.resolve() else (of_audit,),
            ),
            announce=announce,
            tail_bytes=tail_bytes,
        )
        for check in checks:
            transcript.write("note", {"type": CHECK, "purpose": purpose, **asdict(check)})
        return checks


def _place_of(checkout: Checkout) -> CommandPlace:
    root = checkout.repository.root if checkout.branch and checkout.repository else checkout.directory
    return CommandPlace(root, checkout.directory)


def _is_owners(checkout: Checkout) -> bool:
    """Whether the task's own checkout is as the owner's branch is."""
    owner, kept, target = checkout.owner, checkout.checkpoint, checkout.target
    if owner is None or kept is None or kept.base is None or target is None or not checkout.is_new:
        return False
    return is_ancestor(owner, kept.base, of=f"refs/heads/{target}") and not checkout.changed_paths()


@contextmanager
def _fresh(checkout: Checkout, commit: str) -> Generator[CommandPlace, None, None]:
    """*commit* beside the task's own checkout; gone afterwards."""
    assert checkout.owner is not None
    assert checkout.repository is not None
    below = checkout.directory.relative_to(checkout.repository.root)
    with scratch_checkout(checkout.owner, commit, directory=checkout.beside("verify")) as root:
        yield CommandPlace(root, root / below)


def _findings(failed: Iterable[Check]) -> str:
    return "\n\n".join(f"`{check.command}` {check.verdict}:\n\n{check.tail}" for check in failed)


def _hash_of_set_up(checkout: Checkout) -> str:
    return sha256("\0".join(set_up_of(checkout)).encode()).hexdigest()[:16]


def _patterns(order: Order) -> tuple[str, ...]:
    return judges_for(order.settings.verify, order.git.judges)
