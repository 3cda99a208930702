"""What an attempt does next: the phases of a task's work, decided from the steps that are done.

implement -> verify -> audit -> commit -> land; a failed check sends its findings back to the implementer, at
most ``max_iterations`` times, and so does a merge on which the checks fail. Pure, so that it gives the same
answer after a crash: what was done is read back from the steps on disk, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from task_queue.domain.attempt.retry_wish import RetryFrom
from task_queue.domain.model import OutcomeKind
from task_queue.domain.work.verification import check_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """The place to work is ready: worktree made, checkpoint kept."""

    attempt: int
    """The attempt whose checkpoint and commits these are; later ones that continue it keep the number."""
    base_commit: str | None = None
    judges: dict[str, str] = field(default_factory=dict[str, str])
    """Files that judge the work, with their hashes before it."""
    checkpoint: str = ""
    """The commit that the work is compared with: its ref is the agent's to move."""
    instructions: dict[str, str] | None = None
    """Files that instruct every agent there, with their hashes before it; None: not recorded."""


@dataclass(frozen=True, slots=True)
class Implemented:
    """The implementer ended a round."""

    round: int
    output: str = ""
    denials: tuple[dict[str, Any], ...] = ()
    session_cost_usd: float | None = None
    tree: str = ""
    """The files as the round left them, which is what is judged; empty where nothing names them."""
    head: str = ""
    """The commit that was checked out then; empty where there was none."""
    hooked: bool = False
    """The files are as the repository's hooks made them at the commit."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The verification commands ran, and the files that judge were compared; without commands only that."""

    round: int
    passed: bool
    records: tuple[dict[str, Any], ...] = ()
    changed_judges: tuple[str, ...] = ()
    """Files that judge the work and were changed by it: the path, and how in parentheses."""
    findings: str = ""
    tree: str = ""
    """The files that were verified."""
    baseline: dict[str, Any] | None = None
    """What the commands say of the commit that the work began on, where a first round failed (``Baseline``)."""

    @property
    def failed(self) -> tuple[dict[str, Any], ...]:
        """The records of the commands that did not pass."""
        return tuple(record for record in self.records if not check_of(record).passed)


@dataclass(frozen=True, slots=True)
class Audited:
    """The auditor gave a verdict: ``pass``, ``fail`` or ``blocked``; ``void`` where it counts for nothing."""

    round: int
    verdict: str
    summary: str = ""
    findings: str = ""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])
    tree: str = ""
    """The files that were audited."""
    runs: tuple[dict[str, Any], ...] = ()
    """Commands that the queue ran for the auditor (``verification.Check``)."""
    denials: tuple[dict[str, Any], ...] = ()
    """What the auditor was refused."""
    could_run: tuple[str, ...] | None = None
    """What it might have run; None where it could only read."""


@dataclass(frozen=True, slots=True)
class CommitMade:
    """The queue's commit is there as an object, and the branch may not have it yet."""

    commit: str


@dataclass(frozen=True, slots=True)
class Committed:
    """What the work came to in commits."""

    commits: tuple[str, ...] = ()
    branch: str | None = None
    stat: str = ""
    subjects: tuple[str, ...] = ()
    """Of the commits, in their order."""
    by_queue: tuple[str, ...] = ()
    """Those that the queue made."""
    files: tuple[dict[str, Any], ...] = ()
    """The first of the changed files: ``path``, ``added``, ``deleted`` (lines; None: binary or very large)."""
    file_count: int = 0
    """Of all changed files."""
    notes: tuple[str, ...] = ()
    see: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    uncommitted: tuple[str, ...] = ()
    """The first of the changed files that are in no commit."""
    unwanted: tuple[str, ...] = ()
    """What the agent's own commits hold that no commit should: each path, with the reason in parentheses."""
    too_many: str = ""
    """What to say where the task adds far more files than most need."""
    unjudged: str = ""
    """Why the last of the commits does not have the files that were judged."""

    @property
    def why_held(self) -> str | None:
        """Why a person decides before the commits land; None if they may."""
        if self.unwanted:
            return f"the agent committed {', '.join(self.unwanted)}"
        return self.too_many or self.unjudged or None


@dataclass(frozen=True, slots=True)
class Landed:
    """The branch was merged, or why it was not."""

    commit: str | None
    said: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SentBack:
    """The checks failed on what the target would have become; the task's branch has the target merged in now."""

    round: int
    """The one after which the branch was to land."""
    target: str
    base_commit: str
    """Of the target; what the task changed is from here on compared with it."""
    findings: str
    merge: str | None = None
    """The queue's commit that brought the target in; None where the branch had it."""
    judges: dict[str, str] = field(default_factory=dict[str, str])
    """Files that judge the work, with their hashes in *base_commit*."""
    checkpoint: str = ""
    """The commit that the work is compared with from here on."""
    baseline: dict[str, Any] | None = None
    """What the commands say of *base_commit*."""
    instructions: dict[str, str] | None = None
    """As for ``Prepared``, with those of *base_commit*."""


Step = Prepared | Implemented | Verified | Audited | CommitMade | Committed | Landed | SentBack


@dataclass(frozen=True, slots=True)
class Plan:
    """Which phases a task has, besides implement and verify."""

    verify: bool
    """There are commands that prove the work; without them verify only compares the files that judge."""
    audit: bool
    land: bool
    max_iterations: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the place to work ready."""


@dataclass(frozen=True, slots=True)
class Implement:
    """Let the implementer work; *findings* of the round before go with it."""

    round: int
    findings: str = ""


@dataclass(frozen=True, slots=True)
class Verify:
    round: int


@dataclass(frozen=True, slots=True)
class Audit:
    round: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit what the task changed."""


@dataclass(frozen=True, slots=True)
class Land:
    """Merge the task's branch."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do: this is how it ended."""

    kind: OutcomeKind
    reason: str
    evidence: tuple[str, ...] = ()


Phase = Prepare | Implement | Verify | Audit | Commit | Land | Finish

_MOST_VOID_AUDITS = 2
_MOST_JUDGED_ANEW = 2


def next_phase(steps: Sequence[Step], plan: Plan) -> Phase:
    """What follows after *steps*, which are in the order in which they were done."""
    if not any(isinstance(step, Prepared) for step in steps):
        return Prepare()
    last = steps[-1]
    match last:
        case Prepared():
            return Implement(1)
        case Implemented(round=number):
            return Verify(number)
        case Verified(round=number, passed=True):
            return _after_verification(steps, number, plan)
        case Verified(round=number):
            reason = f"verification failed after {_rounds(number)}"
            return _next_round(number, last.findings, plan, otherwise=reason)
        case Audited():
            return _after_audit(steps, last, plan)
        case CommitMade():
            return Commit()
        case Committed():
            # Nothing committed, nothing to land: the branch is "already there", which would mislead.
            return Land() if plan.land and last.branch is not None and last.commits else _done(plan, steps)
        case SentBack(round=number, target=target):
            reason = f"together with what is in {target} now, verification failed after {_rounds(number)}"
            return _next_round(number, last.findings, plan, otherwise=reason)
        case Landed():
            return _done(plan, steps)


def still_valid(steps: Sequence[Step], plan: Plan, *, tree: str, is_new: bool) -> tuple[Step, ...]:
    """Those of *steps* that count for the files as they are now, *tree*.

    A step counts only for the files that it was finished with: what was implemented and is gone is implemented
    again, whatever was verified or audited of it. *is_new*: the checkout was made anew, so it has to be set up.
    """
    if not steps or not tree:
        return tuple(steps)
    last = steps[-1]
    if isinstance(last, CommitMade | Committed | Landed):
        return tuple(steps)
    finished = last.tree if isinstance(last, Implemented | Verified | Audited) else ""
    if is_new:
        return tuple(steps) if finished == tree else ()
    if isinstance(next_phase(steps, plan), Implement) or finished in ("", tree):
        return tuple(steps)
    last_round = max(n for n, step in enumerate(steps) if isinstance(step, Implemented))
    return tuple(steps[:last_round])


def steps_kept(steps: Sequence[Step], begin_at: RetryFrom) -> tuple[Step, ...]:
    """Those of *steps* that count where a person wants the work to go on with the phase *begin_at*.

    None where it never came that far.
    """
    round_end = max((n for n, step in enumerate(steps) if isinstance(step, Implemented)), default=-1)
    match begin_at:
        case RetryFrom.VERIFY:
            last = round_end
        case RetryFrom.AUDIT:
            found = (n for n, step in enumerate(steps) if isinstance(step, Verified) and step.passed)
            last = max((n for n in found if n > round_end), default=-1)
        case RetryFrom.LAND:
            found = (n for n, step in enumerate(steps) if isinstance(step, Committed) and step.commits)
            last = max((n for n in found if n > round_end), default=-1)
    return tuple(steps[: last + 1])


def name_of(phase: Phase) -> str:
    """As results and reports call it: ``implement 1``, ``commit``."""
    number = getattr(phase, "round", None)
    name = type(phase).__name__.lower()
    return name if number is None else f"{name} {number}"


def final_message(steps: Sequence[Step]) -> str:
    """The implementer's, of its last round that ended."""
    return next((step.output for step in reversed(steps) if isinstance(step, Implemented)), "")


def last_round(steps: Sequence[Step]) -> int:
    """Of the implementer; 0 before its first one ended."""
    return max((step.round for step in steps if isinstance(step, Implemented)), default=0)


def base_of(steps: Sequence[Step]) -> Prepared | SentBack:
    """The step that says what the work is compared with now; there is one once the place to work is ready."""
    return next(step for step in reversed(steps) if isinstance(step, Prepared | SentBack))


def baseline_in(steps: Sequence[Step]) -> dict[str, Any] | None:
    """What the commands last said of the commit that the work is compared with, if they were asked."""
    return next(
        (
            step.baseline
            for step in reversed(steps)
            if isinstance(step, Verified | SentBack) and step.baseline
        ),
        None,
    )


def failed_rounds(steps: Sequence[Step]) -> tuple[dict[str, Any], ...]:
    """Verifications before the last one in which a command failed: ``round``, and the records of these commands."""
    earlier = [step for step in steps if isinstance(step, Verified)][:-1]
    return tuple({"round": step.round, "checks": list(step.failed)} for step in earlier if step.failed)


def judged_work(steps: Sequence[Step]) -> Implemented:
    """The end of the last round: its files are what is verified, audited and committed."""
    return next(step for step in reversed(steps) if isinstance(step, Implemented))


def may_judge_anew(steps: Sequence[Step]) -> bool:
    """Whether files that changed after their round had ended are judged once more, instead of left out."""
    number = last_round(steps)
    return sum(isinstance(s, Implemented) and s.round == number for s in steps) <= _MOST_JUDGED_ANEW


def proven_tree(steps: Sequence[Step]) -> str | None:
    """The files, as a tree, on which all verification commands passed last."""
    verified = next((step for step in reversed(steps) if isinstance(step, Verified)), None)
    return verified.tree if verified is not None and verified.passed and verified.records else None


def denials_in(steps: Sequence[Step]) -> tuple[dict[str, Any], ...]:
    """What the implementer was refused, over all rounds."""
    return tuple(denial for step in steps if isinstance(step, Implemented) for denial in step.denials)


def _next_round(number: int, findings: str, plan: Plan, *, otherwise: str) -> Phase:
    """The round that *findings* of round *number* ask for; where there is none left, the reason is *otherwise*."""
    if number >= plan.max_iterations:
        return Finish(OutcomeKind.VERIFY_FAILED, otherwise, (findings,))
    return Implement(number + 1, findings)


def _after_verification(steps: Sequence[Step], number: int, plan: Plan) -> Phase:
    if plan.audit:
        return Audit(number)
    if denials_in(steps) and not plan.verify:
        return Finish(
            OutcomeKind.DENIED,
            "something the agent needed was not permitted, and nothing else shows that the work is done",
            tuple(f"denied: {denial.get('tool_name')}" for denial in denials_in(steps)),
        )
    return Commit()


def _after_audit(steps: Sequence[Step], audit: Audited, plan: Plan) -> Phase:
    match audit.verdict:
        case "pass":
            return Commit()
        case "void":
            voids = sum(isinstance(step, Audited) and step.verdict == "void" for step in steps)
            if voids < _MOST_VOID_AUDITS:
                return Audit(audit.round)
            return Finish(
                OutcomeKind.AUDIT_REJECTED, "the auditor gave no verdict that counts", (audit.summary,)
            )
        case "fail" if audit.round < plan.max_iterations:
            return Implement(audit.round + 1, audit.findings)
        case "fail":
            reason = f"the audit rejected the work after {_rounds(audit.round)}"
            return Finish(OutcomeKind.AUDIT_REJECTED, reason, (audit.summary, audit.findings))
        case _:
            reason = "the auditor needs a person to decide"
            return Finish(OutcomeKind.AUDIT_REJECTED, reason, (audit.summary, audit.findings))


def _done(plan: Plan, steps: Sequence[Step]) -> Finish:
    checks = [name for name, wanted in (("verification", plan.verify), ("audit", plan.audit)) if wanted]
    proof = f"{' and '.join(checks)} passed" if checks else "the agent ended cleanly"
    rounds = last_round(steps)
    return Finish(OutcomeKind.SUCCEEDED, proof, (f"{_rounds(rounds)}, {proof}",))


def _rounds(number: int) -> str:
    return "1 round" if number == 1 else f"{number} rounds"
