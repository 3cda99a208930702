"""The outcome table, replayed with raw frames as CLI 2.1.330 wrote them (and with known lies)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from task_queue.domain.attempt.verdict import TABLE, Observation, is_hopeless, judge
from task_queue.domain.model import OutcomeKind

K = OutcomeKind

DONE: dict[str, Any] = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "terminal_reason": "completed",
    "stop_reason": "end_turn",
    "num_turns": 2,
    "api_error_status": None,
    "result": "done",
    "total_cost_usd": 0.012,
    "permission_denials": [],
}
API_ERROR = DONE | {"is_error": True, "terminal_reason": "api_error", "stop_reason": "stop_sequence"}
DENIAL = {"tool_name": "Write", "tool_use_id": "toolu_1", "tool_input": {"file_path": "/w/a"}}
REJECTED = {
    "type": "rate_limit_event",
    "rate_limit_info": {"status": "rejected", "resetsAt": 1795386570, "rateLimitType": "five_hour"},
}
OVERAGE = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "isUsingOverage": True}}
ALLOWED = {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed_warning", "utilization": 0.93}}


def retry(status: int | None, error: str) -> dict[str, Any]:
    return {
        "type": "system",
        "subtype": "api_retry",
        "attempt": 3,
        "max_retries": 10,
        "retry_delay_ms": 2235,
        "error_status": status,
        "error": error,
    }


def failed(status: int | None, error: str, **more: Any) -> Observation:
    """A result with an API failure, after the CLI's own words about it."""
    return Observation(result=API_ERROR | {"api_error_status": status} | more, last_error=error)


CASES: dict[str, tuple[Observation, OutcomeKind]] = {
    "done": (Observation(result=DONE), K.SUCCEEDED),
    "done, the stop came too late": (Observation(result=DONE, stop="suspend"), K.SUCCEEDED),
    "done on overage": (Observation(result=DONE, limits=(REJECTED,)), K.SUCCEEDED),
    "done near the limit": (Observation(result=DONE, limits=(ALLOWED,)), K.SUCCEEDED),
    "done, but denied": (Observation(result=DONE | {"permission_denials": [DENIAL]}), K.DENIED),
    "done, denied by frame only": (Observation(result=DONE, denials=(DENIAL,)), K.DENIED),
    "done without the structure": (Observation(result=DONE, wants_structure=True), K.FAILED),
    "credit too low": (failed(400, "billing_error"), K.ACCOUNT),
    "payment required": (failed(402, "unknown", api_error_type="billing_error"), K.ACCOUNT),
    "forbidden": (failed(403, "authentication_failed"), K.ACCOUNT),
    "model refused": (
        replace(
            failed(403, "authentication_failed", api_error_type="permission_error"), asked_model="claude-x"
        ),
        K.ACCOUNT,
    ),
    "no endpoint, given up": (Observation(retries=(retry(None, "unknown"),), timer="idle"), K.UNAVAILABLE),
    "login refused, first retry": (Observation(retries=(retry(401, "authentication_failed"),)), K.ACCOUNT),
    "login refused": (failed(401, "authentication_failed"), K.ACCOUNT),
    "wrong payer": (Observation(wrong_account="api_key"), K.ACCOUNT),
    "neither done nor said anything": (
        Observation(result=DONE | {"result": " "}, used_tools=False),
        K.FAILED,
    ),
    "plugin not loaded": (Observation(not_loaded="task-queue: no manifest"), K.UNAVAILABLE),
    "plugin not loaded, and ended cleanly": (
        Observation(result=DONE, not_loaded="task-queue: no manifest"),
        K.UNAVAILABLE,
    ),
    "done, but without a final answer": (Observation(result=DONE | {"result": ""}), K.FAILED),
    "done with a structure, without words": (
        Observation(result=DONE | {"result": "", "stop_reason": "tool_use", "structured_output": {}}),
        K.SUCCEEDED,
    ),
    "stopped for a tool": (Observation(result=DONE | {"stop_reason": "tool_use"}), K.CRASHED),
    "to be continued": (Observation(result=DONE | {"stop_reason": "pause_turn"}), K.CRASHED),
    "cut": (Observation(result=DONE | {"stop_reason": None}), K.CRASHED),
    "of another session": (Observation(result=DONE | {"session_id": "b"}, session_id="a"), K.CRASHED),
    "of no session": (Observation(result=DONE, session_id="a"), K.CRASHED),
    "of its session": (Observation(result=DONE | {"session_id": "a"}, session_id="a"), K.SUCCEEDED),
    "done, but the process failed": (Observation(result=DONE, exit_code=1), K.CRASHED),
    "done, and ended by the SDK": (Observation(result=DONE, exit_code=143), K.SUCCEEDED),
    "usage limit": (replace(failed(429, "rate_limit"), limits=(REJECTED,)), K.LIMITED),
    "usage limit without event": (failed(429, "rate_limit", api_error="usage_limit_reached"), K.LIMITED),
    "usage limit, still retrying": (
        Observation(limits=(REJECTED,), retries=(retry(429, "rate_limit"),)),
        K.LIMITED,
    ),
    "throttled": (failed(429, "rate_limit"), K.UNAVAILABLE),
    "throttled near the limit": (replace(failed(429, "rate_limit"), limits=(ALLOWED,)), K.UNAVAILABLE),
    "overloaded": (failed(529, "server_error"), K.UNAVAILABLE),
    "server error": (failed(500, "server_error"), K.UNAVAILABLE),
    "connection dropped": (failed(None, "server_error", api_error="connection_failed"), K.UNAVAILABLE),
    "bad request": (failed(400, "unknown"), K.FAILED),
    "prompt too long": (failed(400, "invalid_request", terminal_reason="prompt_too_long"), K.FAILED),
    "request too large": (failed(413, "invalid_request", terminal_reason="image_error"), K.FAILED),
    "unknown model": (failed(404, "model_not_found"), K.FAILED),
    "refused": (failed(None, "invalid_request", stop_reason="refusal"), K.REFUSED),
    "turns used up": (
        Observation(
            result=DONE | {"subtype": "error_max_turns", "is_error": True, "terminal_reason": "max_turns"}
        ),
        K.MAX_TURNS,
    ),
    "budget spent": (
        Observation(
            result=DONE
            | {"subtype": "error_max_budget_usd", "is_error": True, "terminal_reason": "budget_exhausted"}
        ),
        K.BUDGET,
    ),
    "no structure after retries": (
        Observation(result=DONE | {"subtype": "error_max_structured_output_retries", "is_error": True}),
        K.FAILED,
    ),
    "killed": (Observation(exit_code=-9, exception="ProcessError"), K.CRASHED),
    "exit 0 without a result (claude-code #74761)": (Observation(exit_code=0), K.CRASHED),
    "aborted by somebody else": (
        Observation(result=DONE | {"is_error": True, "terminal_reason": "aborted_tools"}),
        K.CRASHED,
    ),
    "cancelled": (
        Observation(result=DONE | {"is_error": True, "terminal_reason": "aborted_tools"}, stop="cancel"),
        K.CANCELLED,
    ),
    "suspended": (Observation(exit_code=143, stop="suspend"), K.INTERRUPTED),
    "unknown session": (
        Observation(
            result={
                "type": "result",
                "subtype": "error_during_execution",
                "is_error": True,
                "num_turns": 0,
                "errors": ["No conversation found with session ID: 0362db9c"],
            },
            started=False,
            exit_code=1,
        ),
        K.CRASHED,
    ),
    "used session": (
        Observation(started=False, exit_code=1, stderr="Error: Session ID a9f70fe3 is already in use."),
        K.CRASHED,
    ),
    "bypass as root": (
        Observation(
            result={
                "type": "result",
                "subtype": "error_during_execution",
                "is_error": True,
                "num_turns": 0,
                "startup_failure_reason": "bypass_root",
            },
            exit_code=1,
        ),
        K.FAILED,
    ),
    "time is over": (Observation(timer="wall clock"), K.TIMED_OUT),
    "silent": (Observation(timer="idle"), K.STALLED),
    "never connected": (Observation(timer="connect", started=False), K.STALLED),
    "no first frame": (Observation(timer="first frame"), K.STALLED),
    "retrying until given up": (
        Observation(timer="idle", retries=(retry(529, "overloaded"),)),
        K.UNAVAILABLE,
    ),
    # The known lies.
    "rate-limited and told as success (claude-code #79500)": (
        Observation(
            result=DONE | {"result": "You've hit your limit"}, last_error="rate_limit", limits=(REJECTED,)
        ),
        K.LIMITED,
    ),
    "rate-limited, status only": (Observation(result=DONE | {"api_error_status": 429}), K.UNAVAILABLE),
    "denied tool told as success (claude-code #76867)": (
        Observation(result=DONE | {"permission_denials": [DENIAL], "result": "All done!"}),
        K.DENIED,
    ),
    "zero turns told as success (claude-code #87159)": (
        Observation(result=DONE | {"num_turns": 0}),
        K.FAILED,
    ),
    "a frame of an unknown end": (Observation(result=DONE | {"terminal_reason": "new_thing"}), K.FAILED),
    "no terminal reason": (Observation(result={**DONE, "terminal_reason": None}), K.FAILED),
    "an empty result": (Observation(result={"type": "result"}), K.FAILED),
    "text that mentions a limit (ralph-claude-code #183)": (
        Observation(result=DONE | {"result": "5-hour limit reached, 401, usage_limit_reached"}),
        K.SUCCEEDED,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_table(name: str) -> None:
    """Each case of the table ends as it says, with evidence."""
    seen, kind = CASES[name]

    outcome = judge(seen)

    assert outcome.kind is kind, outcome
    assert outcome.evidence
    assert outcome.reason


def test_every_row_decides_some_case() -> None:
    """A row that no case reaches is dead, or its case is missing."""
    reached = {next(index for index, row in enumerate(TABLE) if row.when(seen)) for seen, _ in CASES.values()}
    unreached = [TABLE[index].reason for index in range(len(TABLE)) if index not in reached]

    assert not unreached


def test_nothing_but_a_clean_end_succeeds() -> None:
    """No combination of what may be odd about a result is ever a success."""
    odd: dict[str, tuple[Any, ...]] = {
        "subtype": ("success", "error_during_execution"),
        "is_error": (False, True, None),
        "terminal_reason": ("completed", "api_error", None),
        "stop_reason": ("end_turn", "refusal", "pause_turn", "unheard_of", None),
        "num_turns": (2, 0, None),
        "api_error_status": (None, 429, 400),
        "errors": ([], ["something"]),
        "permission_denials": ([], [DENIAL]),
    }
    for values in product(*odd.values()):
        result = DONE | dict(zip(odd, values, strict=True))
        for last_error in (None, "unknown"):
            clean = all(value == choices[0] for value, choices in zip(values, odd.values(), strict=True))
            succeeded = judge(Observation(result=result, last_error=last_error)).kind is K.SUCCEEDED
            assert succeeded == (clean and last_error is None), result


def test_a_limit_tells_its_reset() -> None:
    """The announced time, and never one read from a text."""
    outcome = judge(replace(failed(429, "rate_limit"), limits=(REJECTED,)))

    assert outcome.resets_at == datetime.fromtimestamp(1795386570, tz=UTC)


@pytest.mark.parametrize("name", ["unknown session", "used session"])
def test_a_lost_session_says_so(name: str) -> None:
    """What follows depends on the task's ``on_lost_session``."""
    assert judge(CASES[name][0]).lost_session


@pytest.mark.parametrize(
    ("seen", "hopeless"),
    [
        (Observation(retries=(retry(401, "authentication_failed"),)), True),
        (Observation(retries=(retry(400, "billing_error"),)), True),
        (Observation(retries=(retry(529, "overloaded"),)), False),
        (Observation(retries=(retry(429, "rate_limit"),)), False),
        (Observation(retries=(retry(429, "rate_limit"),), limits=(REJECTED,)), True),
        (Observation(limits=(REJECTED,)), False),
        (Observation(wrong_account="api_key"), True),
        (Observation(), False),
    ],
)
def test_when_waiting_is_useless(seen: Observation, *, hopeless: bool) -> None:
    """Account troubles end at the first sign; what passes by itself is waited for."""
    assert is_hopeless(seen) is hopeless


def test_a_plugin_that_did_not_load_ends_the_attempt_at_once() -> None:
    """It is the installation's fault, not the task's: tried again later, uncounted."""
    seen = Observation(not_loaded="task-queue: no manifest")

    assert is_hopeless(seen)
    assert judge(seen).kind is OutcomeKind.UNAVAILABLE


@pytest.mark.parametrize(
    ("asked", "error_type", "model"),
    [
        ("claude-x", "permission_error", "claude-x"),
        ("claude-x", "authentication_error", None),
        (None, "permission_error", None),
    ],
    ids=["the named model", "the login", "no model is named"],
)
def test_a_refused_model_is_not_a_refused_login(
    asked: str | None, error_type: str, model: str | None
) -> None:
    """Both are a 403; the kind of error tells them apart."""
    seen = failed(403, "authentication_failed", api_error_type=error_type)

    outcome = judge(replace(seen, asked_model=asked))

    assert (outcome.kind, outcome.model) == (K.ACCOUNT, model)


@pytest.mark.parametrize(
    ("limit", "asked", "runs", "model"),
    [
        ("seven_day_opus", "opus", "claude-opus-5-5", "opus"),
        ("seven_day_opus", None, "claude-opus-5-5", "opus"),
        ("seven_day_opus", "sonnet", "claude-sonnet-5", None),
        ("seven_day", "opus", "claude-opus-5-5", None),
        ("five_hour", None, "claude-opus-5-5", None),
        ("overage", None, None, None),
    ],
)
def test_a_limit_names_the_class_that_it_is_for(
    limit: str, asked: str | None, runs: str | None, model: str | None
) -> None:
    """Only where the session is of that class: else nothing is known of whom it concerns."""
    info = {"rate_limit_info": {"status": "rejected", "rateLimitType": limit}}
    seen = replace(failed(429, "rate_limit"), limits=(info,), asked_model=asked, model=runs)

    outcome = judge(seen)

    assert (outcome.kind, outcome.model) == (K.LIMITED, model)


@pytest.mark.parametrize(
    ("seen", "unreachable"),
    [
        (failed(None, "server_error", api_error="connection_failed"), True),
        (Observation(retries=(retry(None, "unknown"),), timer="idle"), True),
        (failed(529, "server_error"), False),
        (Observation(retries=(retry(529, "overloaded"),), timer="idle"), False),
    ],
    ids=["no connection", "no connection until the time-out", "overloaded", "overloaded until the time-out"],
)
def test_an_endpoint_that_answers_is_reachable(seen: Observation, *, unreachable: bool) -> None:
    outcome = judge(seen)

    assert (outcome.kind, outcome.unreachable) == (K.UNAVAILABLE, unreachable)
