"""Lies that users were told elsewhere, replayed by name as raw frames: none of them ends as succeeded.

Frames as CLI 2.1.330 writes them, in the shape that the report describes. The numbers are those of the
public issues of claude-code, and of the traps that running the agent unattended has.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from task_queue.domain.attempt.progress import Progress
from task_queue.domain.attempt.rebuild import rebuilt_ending
from task_queue.domain.attempt.spending import Meter
from task_queue.domain.attempt.verdict import judge
from task_queue.domain.model import OutcomeKind
from tests.claims import a_claim

K = OutcomeKind
Frame = dict[str, Any]

INIT: Frame = {"type": "system", "subtype": "init", "apiKeySource": "none", "model": "claude-opus-5-5"}
DONE: Frame = {
    "type": "result",
    "subtype": "success",
    "session_id": "s",
    "is_error": False,
    "terminal_reason": "completed",
    "stop_reason": "end_turn",
    "num_turns": 2,
    "api_error_status": None,
    "result": "All done! Every test passes and the work is committed.",
    "total_cost_usd": 0.02,
    "permission_denials": [],
}
PROMPT: Frame = {"type": "user", "uuid": "our-prompt", "message": {"role": "user", "content": "Do it."}}


def says(text: str, *, error: str | None = None, number: int = 1, **more: Any) -> Frame:
    message = {"id": f"msg_{number}", "role": "assistant", "content": [{"type": "text", "text": text}]}
    frame: Frame = {"type": "assistant", "parent_tool_use_id": None, "message": message, **more}
    return frame | ({"error": error} if error else {})


def uses(tool: str, **given: Any) -> Frame:
    block = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": given}
    message = {"id": "msg_0", "role": "assistant", "content": [block]}
    return {"type": "assistant", "parent_tool_use_id": None, "message": message}


def rejected(**info: Any) -> Frame:
    about = {"status": "rejected", "resetsAt": 1795386570, "rateLimitType": "five_hour", **info}
    return {"type": "rate_limit_event", "rate_limit_info": about}


def retry(status: int, error: str) -> Frame:
    return {
        "type": "system",
        "subtype": "api_retry",
        "attempt": 1,
        "max_retries": 10,
        "retry_delay_ms": 600,
        "error_status": status,
        "error": error,
    }


def api_error(status: int, text: str) -> Frame:
    return DONE | {
        "is_error": True,
        "terminal_reason": "api_error",
        "stop_reason": "stop_sequence",
        "api_error_status": status,
        "result": text,
    }


LIMIT_TEXT = "You've hit your limit, resets 3pm"
DENIAL = {"tool_name": "Bash", "tool_use_id": "toolu_1", "tool_input": {"command": "npm test"}}
DENIED: Frame = {
    "type": "system",
    "subtype": "permission_denied",
    "tool_name": "Bash",
    "tool_use_id": "toolu_1",
    "decision_reason_type": "mode",
}

LIES: dict[str, tuple[list[Frame], OutcomeKind]] = {
    "#79500: a run that hit the usage limit is reported as success": (
        [INIT, rejected(), says(LIMIT_TEXT, error="rate_limit"), api_error(429, LIMIT_TEXT)],
        K.LIMITED,
    ),
    "#79500: the same without a status in the result": (
        [
            INIT,
            rejected(),
            says(LIMIT_TEXT, error="rate_limit"),
            api_error(429, LIMIT_TEXT) | {"api_error_status": None},
        ],
        K.LIMITED,
    ),
    "#79500: the same with not a single sign but the model's last error": (
        [INIT, says(LIMIT_TEXT, error="rate_limit"), DONE | {"result": LIMIT_TEXT}],
        K.UNAVAILABLE,
    ),
    "#76867: a tool was denied and the run is called a success": (
        [
            INIT,
            uses("Bash", command="npm test"),
            DENIED,
            says("done"),
            DONE | {"permission_denials": [DENIAL]},
        ],
        K.DENIED,
    ),
    "#76867: the same, forgotten in the result": (
        [INIT, uses("Bash", command="npm test"), DENIED, says("done"), DONE],
        K.DENIED,
    ),
    "#87159: success after 0 turns": ([INIT, DONE | {"num_turns": 0}], K.FAILED),
    "#87159: success that counts no turns at all": (
        [INIT, {key: value for key, value in DONE.items() if key != "num_turns"}],
        K.FAILED,
    ),
    "#74761: exit 0 in the middle of the task": (
        [INIT, uses("Bash", command="make"), says("Now I will", number=2)],
        K.CRASHED,
    ),
    "#74761: exit 0 before the first word": ([INIT], K.CRASHED),
    "trap 1: subtype success of a refused login": (
        [INIT, says("Invalid API key", error="authentication_failed"), api_error(401, "Invalid API key")],
        K.ACCOUNT,
    ),
    "trap 1: subtype success without credit": (
        [INIT, says("Credit balance is too low", error="billing_error"), api_error(400, "Credit balance")],
        K.ACCOUNT,
    ),
    "trap 1: subtype success of an overloaded model": (
        [
            INIT,
            retry(529, "overloaded"),
            says("Overloaded", error="server_error"),
            api_error(529, "Overloaded"),
        ],
        K.UNAVAILABLE,
    ),
    "trap 1: subtype success of a bad request": (
        [INIT, says("bad request", error="unknown"), api_error(400, "bad request")],
        K.FAILED,
    ),
    "trap 3: the result of an injected turn": (
        [INIT, says("working"), DONE | {"user_message_uuids": ["somebody-elses"]}],
        K.CRASHED,
    ),
    "trap 7: denied at once because nobody can be asked": (
        [INIT, DENIED, says("I was not able to run the tests, but all is fine"), DONE],
        K.DENIED,
    ),
    "trap 11: the budget is spent": (
        [
            INIT,
            says("half"),
            DONE
            | {"subtype": "error_max_budget_usd", "is_error": True, "terminal_reason": "budget_exhausted"},
        ],
        K.BUDGET,
    ),
    "trap 11: the turns are used up": (
        [
            INIT,
            says("half"),
            DONE | {"subtype": "error_max_turns", "is_error": True, "terminal_reason": "max_turns"},
        ],
        K.MAX_TURNS,
    ),
    "trap 12: a session id that was used": (
        [
            DONE
            | {
                "subtype": "error_during_execution",
                "is_error": True,
                "num_turns": 0,
                "errors": ["No conversation found with session ID: x"],
            }
        ],
        K.CRASHED,
    ),
    "trap 18: bypass as root": (
        [
            DONE
            | {
                "subtype": "error_during_execution",
                "is_error": True,
                "num_turns": 0,
                "startup_failure_reason": "bypass_root",
            }
        ],
        K.FAILED,
    ),
    "a refusal called success": (
        [INIT, says("I can't help with that."), DONE | {"stop_reason": "refusal"}],
        K.REFUSED,
    ),
    "an aborted turn called success": (
        [INIT, says("half"), DONE | {"terminal_reason": "aborted_streaming"}],
        K.CRASHED,
    ),
    "a reason to end that no release had": (
        [INIT, says("half"), DONE | {"terminal_reason": "paused_for_review"}],
        K.FAILED,
    ),
    "a subtype that no release had": ([INIT, says("half"), DONE | {"subtype": "partial_success"}], K.FAILED),
    "errors beside a success": ([INIT, says("half"), DONE | {"errors": ["tool crashed"]}], K.FAILED),
}


@pytest.mark.parametrize("name", LIES)
def test_a_known_lie_is_told_as_it_is(name: str) -> None:
    """As the executor sees it, live."""
    frames, kind = LIES[name]
    progress = Progress()
    progress.add("out", PROMPT)
    for frame in frames:
        progress.add("in", frame)

    outcome = judge(progress.observation(exit_code=0))

    assert outcome.kind is kind, outcome
    assert outcome.kind is not K.SUCCEEDED
    assert outcome.evidence


@pytest.mark.parametrize("name", LIES)
def test_recovery_does_not_believe_it_either(name: str) -> None:
    """The same frames, read back from the transcript of a runner that died."""
    ending = rebuilt_ending(
        _CLAIM, _lines(LIES[name][0]), before=Meter(), now=datetime(2026, 2, 7, tzinfo=UTC)
    )

    assert ending is None or ending.outcome.kind is LIES[name][1]


def test_a_true_success_is_believed() -> None:
    """The same replay, with nothing amiss: the tests above fail for the right reason."""
    progress = Progress()
    progress.add("out", PROMPT)
    for frame in (INIT, uses("Bash", command="make"), says("done", number=2), DONE):
        progress.add("in", frame)

    assert judge(progress.observation(exit_code=0)).kind is K.SUCCEEDED


def test_a_limit_in_the_text_is_no_limit() -> None:
    """ralph-claude-code #183: a file that mentions the 5-hour limit; nothing is decided from the prose."""
    progress = Progress()
    progress.add("out", PROMPT)
    for frame in (INIT, says(f"The log says: {LIMIT_TEXT}"), DONE | {"result": f"It says: {LIMIT_TEXT}"}):
        progress.add("in", frame)

    assert judge(progress.observation(exit_code=0)).kind is K.SUCCEEDED


def _lines(frames: Iterable[Frame]) -> list[str]:
    at = "2026-02-07T12:00:00.000+00:00"
    envelopes = [{"t": at, "seq": 1, "dir": "out", "raw": PROMPT}]
    envelopes += [{"t": at, "seq": n, "dir": "in", "raw": frame} for n, frame in enumerate(frames, 2)]
    return [json.dumps(envelope) + "\n" for envelope in envelopes]


_CLAIM = a_claim(started_at=datetime(2026, 2, 7, tzinfo=UTC))
