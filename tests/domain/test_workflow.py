"""Which phase follows which, from the steps that are done."""

from __future__ import annotations

import pytest

from task_queue.domain.model import OutcomeKind
from task_queue.domain.work.workflow import (
    Audit,
    Audited,
    Commit,
    Committed,
    Finish,
    Implement,
    Implemented,
    Land,
    Landed,
    Phase,
    Plan,
    Prepare,
    Prepared,
    SentBack,
    Step,
    Verified,
    Verify,
    base_of,
    next_phase,
    proven_tree,
    still_valid,
)

FULL = Plan(verify=True, audit=True, land=True, max_iterations=3)
START = Prepared(1)
SENT_BACK = SentBack(1, "main", "def", "red on main", merge="fed", judges={"tests/a": "1"})
DENIED = ({"tool_name": "WebFetch"},)


def rejected(number: int) -> tuple[Step, ...]:
    return (
        Implemented(number),
        Verified(number, passed=True),
        Audited(number, "fail", "no", f"fix {number}"),
    )


@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        ((), Prepare()),
        ((START,), Implement(1)),
        ((START, Implemented(1)), Verify(1)),
        ((START, Implemented(1), Verified(1, passed=True)), Audit(1)),
        ((START, Implemented(1), Verified(1, passed=False, findings="red")), Implement(2, "red")),
        ((START, *rejected(1)), Implement(2, "fix 1")),
        ((START, *rejected(1), *rejected(2)), Implement(3, "fix 2")),
        ((START, Implemented(1), Verified(1, passed=True), Audited(1, "pass")), Commit()),
        ((START, Implemented(1), Audited(1, "void")), Audit(1)),
        ((START, Implemented(1), Committed(("abc",), branch="b")), Land()),
        ((START, Implemented(1), Committed(("abc",), branch="b"), SENT_BACK), Implement(2, "red on main")),
        ((START, Implemented(1), Committed(("abc",), branch="b"), SENT_BACK, Implemented(2)), Verify(2)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple) else f"{len(value)} steps",
)
def test_each_step_leads_to_the_next(steps: tuple[Step, ...], phase: Phase) -> None:
    """Checks follow work, findings go back, commits come last."""
    assert next_phase(steps, FULL) == phase


def test_the_last_round_ends_it() -> None:
    """Three rejections are enough."""
    phase = next_phase((START, *rejected(1), *rejected(2), *rejected(3)), FULL)

    assert isinstance(phase, Finish)
    assert (phase.kind, "3 rounds" in phase.reason) == (OutcomeKind.AUDIT_REJECTED, True)


def test_verification_that_never_passes_is_no_success() -> None:
    """Whatever the auditor would have said."""
    steps = [START, *(step for n in (1, 2, 3) for step in (Implemented(n), Verified(n, passed=False)))]
    phase = next_phase(steps, FULL)

    assert isinstance(phase, Finish)
    assert phase.kind is OutcomeKind.VERIFY_FAILED


@pytest.mark.parametrize(("audit", "follows"), [(True, Audit(1)), (False, Commit())])
def test_without_commands_the_judges_are_compared_all_the_same(audit: bool, follows: Phase) -> None:
    """Changed tests are to be told whatever the workflow is; no other phase needs to know how."""
    plan = Plan(verify=False, audit=audit, land=False, max_iterations=3)

    assert next_phase((START, Implemented(1)), plan) == Verify(1)
    assert next_phase((START, Implemented(1), Verified(1, passed=True)), plan) == follows


@pytest.mark.parametrize("verdict", ["blocked", "maybe", ""])
def test_no_other_verdict_is_a_pass(verdict: str) -> None:
    """Only the word itself."""
    phase = next_phase((START, Implemented(1), Verified(1, passed=True), Audited(1, verdict)), FULL)

    assert isinstance(phase, Finish)
    assert phase.kind is OutcomeKind.AUDIT_REJECTED


def test_two_audits_without_a_verdict_end_it() -> None:
    """Not in success."""
    phase = next_phase((START, Implemented(1), Audited(1, "void"), Audited(1, "void")), FULL)

    assert isinstance(phase, Finish)
    assert phase.kind is OutcomeKind.AUDIT_REJECTED


def test_denied_work_without_any_check_is_denied() -> None:
    """Nothing shows that it is done: without commands the verification compares files only."""
    phase = next_phase(
        (START, Implemented(1, denials=DENIED), Verified(1, passed=True)),
        Plan(verify=False, audit=False, land=False, max_iterations=3),
    )

    assert isinstance(phase, Finish)
    assert phase.kind is OutcomeKind.DENIED


def test_denied_work_that_passed_a_check_is_done() -> None:
    """The denial is listed, the proof decides."""
    steps = (START, Implemented(1, denials=DENIED), Verified(1, passed=True))
    plan = Plan(verify=True, audit=False, land=False, max_iterations=3)

    assert next_phase(steps, plan) == Commit()


def test_what_was_landed_is_done() -> None:
    """With the proof as its reason."""
    steps = (
        START,
        Implemented(1),
        Verified(1, passed=True),
        Audited(1, "pass"),
        Committed(("a",), "b"),
        Landed("c", ""),
    )
    phase = next_phase(steps, FULL)

    assert isinstance(phase, Finish)
    assert (phase.kind, phase.reason) == (OutcomeKind.SUCCEEDED, "verification and audit passed")


def test_without_a_commit_nothing_is_landed() -> None:
    """A hook refused it, or nothing changed: the task ends, and no branch is told to be merged."""
    phase = next_phase((START, Implemented(1), Committed((), branch="b", notes=("refused",))), FULL)

    assert isinstance(phase, Finish)


WORKED = Implemented(1, tree="worked")
CHECKED = Verified(1, passed=True, tree="worked")
REJECTED = Audited(1, "fail", findings="fix", tree="worked")
PASSED = Audited(1, "pass", tree="worked")
DONE = Committed(("abc",), branch="b")


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ((START, WORKED), 1),
        ((START, WORKED, CHECKED), 1),
        ((START, WORKED, CHECKED, PASSED), 1),
        ((START, WORKED, CHECKED, REJECTED, Implemented(2, tree="more")), 4),
        ((START, WORKED, CHECKED, REJECTED), 4),
        ((START,), 1),
        ((START, WORKED, CHECKED, PASSED, DONE), 5),
        ((START, WORKED, CHECKED, PASSED, DONE, Landed("abc", "is in main")), 6),
    ],
)
def test_steps_count_only_for_their_files(steps: tuple[Step, ...], left: int) -> None:
    """Work that is gone is done again; a round that follows changes files, and what was committed stays."""
    assert still_valid(steps, FULL, tree="other", is_new=False) == steps[:left]


@pytest.mark.parametrize(
    ("steps", "tree", "left"),
    [
        ((START,), "worked", 0),
        ((START, WORKED), "other", 0),
        ((START, WORKED, CHECKED, REJECTED), "other", 0),
        ((START, WORKED, CHECKED), "worked", 3),
        ((START, WORKED, CHECKED, PASSED, DONE), "other", 5),
    ],
)
def test_a_new_checkout_is_set_up_and_worked_in_anew(steps: tuple[Step, ...], tree: str, left: int) -> None:
    """Unless all of the work was committed, and is there."""
    assert still_valid(steps, FULL, tree=tree, is_new=True) == steps[:left]


def test_steps_of_an_earlier_release_name_no_files() -> None:
    steps = (START, Implemented(1), Verified(1, passed=True))

    assert still_valid(steps, FULL, tree="any", is_new=False) == steps
    assert still_valid((START, WORKED), FULL, tree="", is_new=False) == (START, WORKED)


def test_a_landing_that_fails_the_checks_in_the_last_round_is_a_failed_verification() -> None:
    ended = next_phase(
        (START, Implemented(1), SENT_BACK), Plan(verify=True, audit=False, land=True, max_iterations=1)
    )

    assert isinstance(ended, Finish)
    assert (ended.kind, ended.evidence) == (OutcomeKind.VERIFY_FAILED, ("red on main",))
    assert "together with what is in main now" in ended.reason


def test_the_work_is_compared_with_the_commit_that_it_was_sent_back_to() -> None:
    steps = (Prepared(1, "abc", {"tests/a": "0"}), Implemented(1), SENT_BACK, Implemented(2))

    assert (base_of(steps[:2]).base_commit, base_of(steps).base_commit) == ("abc", "def")
    assert base_of(steps).judges == {"tests/a": "1"}


@pytest.mark.parametrize(
    ("verified", "tree"),
    [
        (Verified(1, passed=True, records=({},), tree="t"), "t"),
        (Verified(1, passed=True, tree="t"), None),
        (Verified(1, passed=False, records=({},), tree="t"), None),
    ],
    ids=["passed", "no commands", "failed"],
)
def test_only_files_on_which_commands_passed_are_proven(verified: Verified, tree: str | None) -> None:
    assert proven_tree((START, Implemented(1), verified)) == tree
