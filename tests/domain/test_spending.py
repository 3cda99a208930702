"""What is charged where the CLI told its costs, where it could not, and where it told them late."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from task_queue.domain.attempt.prices import estimated_usd, price_of
from task_queue.domain.attempt.rebuild import SESSION_LOST, work_so_far
from task_queue.domain.attempt.spending import Charge, Meter, charge, meter_of
from task_queue.domain.model import Attempt, OutcomeKind
from tests.claims import a_claim

NOW = datetime(2026, 2, 7, tzinfo=UTC)
AT = NOW.isoformat()
SESSION = "the-task's-own"
CLAIM = a_claim(started_at=NOW, session_id=SESSION)
OPENS = ("out", {"type": "control_request", "request": {"subtype": "initialize"}})


@pytest.mark.parametrize(
    ("before", "reported", "answers", "expected"),
    [
        pytest.param(
            Meter(), 5.0, 9.0, Charge(5.0, 0, Meter(5.0)), id="reported: the estimate does not matter"
        ),
        pytest.param(Meter(3.0), 5.0, 9.0, Charge(2.0, 0, Meter(5.0)), id="reported: what it has grown by"),
        pytest.param(
            Meter(9.0), 5.0, 1.0, Charge(5.0, 0, Meter(5.0)), id="reported less than before: a new count"
        ),
        pytest.param(
            Meter(3.0), None, 1.5, Charge(1.5, 1.5, Meter(3.0, 1.5)), id="not reported: the estimate"
        ),
        pytest.param(Meter(3.0, 1.5), None, 0.5, Charge(0.5, 0.5, Meter(3.0, 2.0)), id="not reported again"),
        pytest.param(Meter(3.0), None, 0.0, Charge(None, 0, Meter(3.0)), id="no answer: not known"),
        pytest.param(
            Meter(3.0, 1.5), 5.5, 0.9, Charge(1.0, 0, Meter(5.5)), id="reported late: not charged twice"
        ),
        pytest.param(
            Meter(3.0, 1.5),
            4.0,
            0.9,
            Charge(0.9, 0, Meter(4.0)),
            id="never reported: the next one pays its own",
        ),
        pytest.param(
            Meter(3.0, 1.5), 3.5, 0.9, Charge(0.5, 0, Meter(3.5)), id="never more than the total grew"
        ),
    ],
)
def test_what_a_conversation_is_charged(
    before: Meter, reported: float | None, answers: float, expected: Charge
) -> None:
    assert charge(before, reported=reported, answers_usd=answers) == expected


def test_the_meter_is_the_sessions_own() -> None:
    """Attempts in other sessions do not turn it; the newest total counts, even a smaller one."""
    attempts = [
        _attempt(1, "s", reported=9.0),
        _attempt(2, "s", reported=2.0),
        _attempt(3, "s", estimated=0.25),
        _attempt(4, "other", reported=7.0),
    ]

    assert meter_of(attempts, "s") == Meter(2.0, 0.25)
    assert meter_of(attempts, "new") == Meter()


@pytest.mark.parametrize(
    ("name", "per_million"),
    [
        ("claude-opus-4-20250514", 15),
        ("claude-opus-4-5-20251101", 5),
        ("us.anthropic.claude-opus-5-5", 4),
        ("claude-sonnet-5-5[1m]", 2),
        ("claude-sonnet-5", 2),
        ("of a house nobody knows", 15),
        ("claude-opus-7", 15),
    ],
)
def test_an_unknown_model_costs_as_much_as_the_dearest(name: str, per_million: float) -> None:
    """Names of clouds and of dated releases are known; a newer one than the table is not."""
    assert price_of(name).input == per_million


def test_what_was_written_is_counted_by_its_length() -> None:
    """A first frame says one token of output, however long the answer becomes."""
    usage = {"input_tokens": 1000, "cache_read_input_tokens": 1000, "output_tokens": 1, "service_tier": "x"}

    assert estimated_usd("claude-opus-4", usage, 3000) == pytest.approx(0.015 + 0.0015 + 0.075)


def test_a_dead_runners_conversations_are_added_up() -> None:
    """A told one, an auditor's that was told, and one that was cut off: each session has its own meter."""
    lines = _transcript(
        OPENS,
        _answer(1, SESSION),
        _result(5.0, SESSION),
        OPENS,
        _answer(2, "auditor"),
        _result(0.5, "auditor"),
        OPENS,
        _answer(3, SESSION),
        ("in", {"type": "assistant", "message": 5}),
        ("in", ["nonsense"]),
    )

    work = work_so_far(CLAIM, lines, before=Meter(3.0, models={"claude-opus-4": {"costUSD": 3.0}}))

    cut_off = estimated_usd("claude-opus-4", {"input_tokens": 100_000, "output_tokens": 1}, 0)
    assert work.estimated_cost_usd == pytest.approx(cut_off, rel=0.01)
    assert work.total_cost_usd == pytest.approx(2.0 + 0.5 + work.estimated_cost_usd)
    assert work.model_usage == {"claude-opus-4": {"costUSD": 2.5}}
    assert work.session_model_usage == {"claude-opus-4": {"costUSD": 5.0}}
    assert (work.num_turns, work.cost_incomplete) == (3, True)
    assert (work.session_cost_usd, work.session_estimated_usd) == (5.0, work.estimated_cost_usd)


def test_a_dead_runners_phases_and_place_are_read_back() -> None:
    """Time from one phase to the next, the last one's to the last line; cost of the conversations in each."""
    lines = _transcript(
        ("note", {"type": "phase", "phase": "prepare"}),
        (
            "note",
            {"type": "site", "workspace": "/w", "isolation": "worktree", "branch": "b", "base_commit": "c"},
        ),
        ("note", {"type": "phase", "phase": "implement 1"}),
        OPENS,
        _answer(1, SESSION),
        _result(5.0, SESSION),
        ("note", {"type": "phase", "phase": "audit 1"}),
        OPENS,
        _answer(2, "auditor"),
        _result(0.5, "auditor"),
    )

    product = work_so_far(CLAIM, lines, before=Meter(3.0)).product

    assert product is not None
    assert (product.workspace, product.isolation, product.branch) == ("/w", "worktree", "b")
    assert (product.base_commit, product.commits) == ("c", ())
    assert product.cost_by_phase == {"implement 1": 2.0, "audit 1": 0.5}
    assert list(product.seconds_by_phase) == ["prepare", "implement 1", "audit 1"]


def test_a_session_that_was_begun_again_has_a_new_meter() -> None:
    """The CLI counts from nothing, however much was told before."""
    lines = _transcript(OPENS, ("note", {"type": SESSION_LOST}), OPENS, _answer(1, SESSION), _result(4.0))

    assert work_so_far(CLAIM, lines, before=Meter(3.0)).total_cost_usd == 4.0


def test_a_program_without_an_agent_costs_nothing() -> None:
    """There is nothing incomplete about it, either."""
    work = work_so_far(CLAIM, _transcript(("in", {"type": "output", "text": "hi"})), before=Meter())

    assert (work.total_cost_usd, work.estimated_cost_usd, work.cost_incomplete) == (None, 0, False)


def _attempt(number: int, session: str, *, reported: float | None = None, estimated: float = 0.0) -> Attempt:
    return Attempt(
        number,
        OutcomeKind.CRASHED,
        "",
        counted=True,
        started_at=NOW,
        ended_at=NOW,
        session_id=session,
        session_cost_usd=reported,
        session_estimated_usd=estimated,
    )


def _answer(number: int, session: str) -> tuple[str, Any]:
    usage = {"input_tokens": 100_000, "output_tokens": 1}
    message = {"id": f"msg_{number}", "model": "claude-opus-4", "content": [], "usage": usage}
    return "in", {"type": "assistant", "message": message, "session_id": session}


def _result(reported: float, session: str = SESSION) -> tuple[str, Any]:
    models = {"claude-opus-4": {"costUSD": reported}}
    frame = {"total_cost_usd": reported, "num_turns": 1, "session_id": session, "modelUsage": models}
    return "in", {"type": "result", **frame}


def _transcript(*envelopes: tuple[str, Any]) -> list[str]:
    return [json.dumps({"t": AT, "seq": 1, "dir": direction, "raw": raw}) for direction, raw in envelopes]
