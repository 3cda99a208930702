"""What follows from each outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from task_queue.domain.attempt.lifecycle import (
    MAX_RESUMES,
    MAX_RETURNS,
    Policy,
    decide,
    is_returned,
    returns_in,
    session_to_continue,
)
from task_queue.domain.model import (
    Attempt,
    Complete,
    Disposition,
    Fail,
    Outcome,
    OutcomeKind,
    Pause,
    Release,
    Retry,
)

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
K = OutcomeKind


def attempt(number: int, kind: OutcomeKind, *, counted: bool = True) -> Attempt:
    return Attempt(number, kind, "", counted, NOW, NOW, session_id="s")


def after(kind: OutcomeKind, *earlier: Attempt, policy: Policy | None = None, **more: object) -> Disposition:
    outcome = Outcome(kind, "why", **more)  # type: ignore[arg-type]
    return decide(outcome, earlier=earlier, policy=policy or Policy(), jitter=0.0)


FIRST_DELAY = timedelta(seconds=30)


@pytest.mark.parametrize(
    ("kind", "disposition"),
    [
        (K.SUCCEEDED, Complete()),
        (K.FAILED, Retry(FIRST_DELAY)),
        (K.TIMED_OUT, Retry(FIRST_DELAY)),
        (K.STALLED, Retry(FIRST_DELAY)),
        (K.CRASHED, Retry(FIRST_DELAY)),
        (K.UNAVAILABLE, Retry(FIRST_DELAY, counted=False)),
        (K.INTERRUPTED, Release()),
        (K.LIMITED, Pause("why")),
        (K.ACCOUNT, Pause("why", needs_person=True)),
        (K.DENIED, Fail()),
        (K.AUDIT_REJECTED, Fail()),
        (K.VERIFY_FAILED, Fail()),
        (K.BUDGET, Fail()),
        (K.MAX_TURNS, Fail()),
        (K.REFUSED, Fail()),
        (K.CANCELLED, Fail()),
        (K.REJECTED, Fail()),
    ],
)
def test_a_first_attempt(kind: OutcomeKind, disposition: Disposition) -> None:
    """Every outcome has its row."""
    assert after(kind) == disposition


def test_every_outcome_is_in_the_table() -> None:
    """So that a new one is noticed here as well as by the type checker."""
    rows = next(mark for mark in test_a_first_attempt.pytestmark if mark.name == "parametrize").args[1]  # type: ignore[attr-defined]

    assert {kind for kind, _ in rows} == set(OutcomeKind)


def test_attempts_used_up_are_a_dead_letter() -> None:
    """The third counted failure is the last."""
    assert after(K.FAILED, attempt(1, K.FAILED), attempt(2, K.TIMED_OUT)) == Fail(dead_letter=True)


def test_what_does_not_count_uses_up_nothing() -> None:
    """Any number of interruptions, limits and overloads."""
    idle = [
        attempt(n, kind, counted=False)
        for n, kind in enumerate((K.INTERRUPTED, K.LIMITED, K.UNAVAILABLE) * 5)
    ]

    assert after(K.FAILED, *idle) == Retry(FIRST_DELAY)


def test_overload_backs_off_further_each_time() -> None:
    """Doubled for each in a row; our own interruptions do not break the row."""
    row = (attempt(1, K.UNAVAILABLE, counted=False), attempt(2, K.INTERRUPTED, counted=False))

    assert after(K.UNAVAILABLE, *row) == Retry(FIRST_DELAY * 2, counted=False)


def test_a_session_is_resumed_a_few_times_only() -> None:
    """Then a person has to look, however many attempts are allowed."""
    crashes = [attempt(n, K.CRASHED) for n in range(1, MAX_RESUMES + 1)]

    assert after(K.CRASHED, *crashes, policy=Policy(max_attempts=99)) == Fail(dead_letter=True)


@pytest.mark.parametrize("kind", [K.CRASHED, K.INTERRUPTED])
def test_a_lost_session_goes_to_a_person_unless_the_owner_says_rerun(kind: OutcomeKind) -> None:
    """What cannot be continued is not silently run again."""
    rerun = after(kind, policy=Policy(rerun_lost_session=True), lost_session=True)

    assert after(kind, lost_session=True) == Fail()
    assert rerun == (Release() if kind is K.INTERRUPTED else Retry(FIRST_DELAY))


def test_a_crashed_command_goes_to_a_person() -> None:
    """Its side effects cannot be continued."""
    assert after(K.CRASHED, policy=Policy(repeatable=False)) == Fail()


def test_the_days_budget_is_not_the_tasks_fault() -> None:
    """It waits for midnight, uncounted."""
    midnight = NOW + timedelta(hours=12)

    assert after(K.BUDGET, resets_at=midnight) == Release(midnight)


def test_a_limit_pauses_until_its_reset() -> None:
    """As it was announced."""
    assert after(K.LIMITED, resets_at=NOW) == Pause("why", NOW)


@pytest.mark.parametrize(
    ("kind", "continued"),
    [(K.CRASHED, True), (K.INTERRUPTED, True), (K.LIMITED, True), (K.STALLED, True), (K.FAILED, False)],
)
def test_which_sessions_are_continued(kind: OutcomeKind, continued: bool) -> None:
    """Those that broke off; not those whose agent ended and failed."""
    assert session_to_continue([attempt(1, K.FAILED), attempt(2, kind)]) == ("s" if continued else None)


def test_an_unreachable_endpoint_pauses_the_account_briefly() -> None:
    """No task retries it alone."""
    assert after(K.UNAVAILABLE, unreachable=True) == Pause("why", briefly=True)


def test_a_part_of_the_account_pauses_alone() -> None:
    """A limit is for a class of models, a refusal for one."""
    assert after(K.LIMITED, model="opus") == Pause("why", model="opus", is_class=True)
    assert after(K.ACCOUNT, model="claude-x") == Pause("why", model="claude-x", needs_person=True)


@pytest.mark.parametrize(
    ("outcome", "probed", "returned"),
    [
        (Outcome(K.UNAVAILABLE, "setup failed"), True, True),
        (Outcome(K.ACCOUNT, "refused"), False, True),
        (Outcome(K.ACCOUNT, "refused"), True, False),
        (Outcome(K.ACCOUNT, "refused", model="claude-x"), True, True),
        (Outcome(K.UNAVAILABLE, "no endpoint", unreachable=True), False, True),
        (Outcome(K.UNAVAILABLE, "no endpoint", unreachable=True), True, False),
        (Outcome(K.LIMITED, "limit"), False, False),
        (Outcome(K.INTERRUPTED, "stopped"), False, False),
        (Outcome(K.FAILED, "failed"), False, False),
    ],
)
def test_what_is_of_the_tasks_own_making(outcome: Outcome, *, probed: bool, returned: bool) -> None:
    """What the trial of a paused account finds is not; nor are a limit, and a stop of the queue."""
    assert is_returned(outcome, probed=probed) is returned


def test_only_an_answer_or_a_counted_attempt_ends_a_row_of_returns() -> None:
    """Shutdowns and limits in between neither count nor end it."""
    back = replace(attempt(1, K.UNAVAILABLE, counted=False), returned=True)
    stopped = attempt(1, K.INTERRUPTED, counted=False)
    answered = replace(back, num_turns=1)

    def row(*attempts: Attempt) -> int:
        return returns_in(replace(each, number=number) for number, each in enumerate(attempts, start=1))

    assert row(back, stopped, back) == 2
    assert row(back, answered, back) == 1
    assert row(back, attempt(1, K.CRASHED), back, back) == 2
    assert row(*[back] * 9) == MAX_RETURNS + 1
