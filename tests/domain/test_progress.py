"""Progress from raw frames as CLI 2.1.330 writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from task_queue.domain.attempt.progress import Progress, progress_of
from task_queue.domain.attempt.rebuild import rebuilt_ending
from task_queue.domain.attempt.spending import Meter
from tests.claims import a_claim


def _line(direction: str, raw: Any, second: int = 0) -> str:
    at = f"2026-02-07T12:00:{second:02}.000+00:00"
    return json.dumps({"t": at, "seq": 1, "dir": direction, "raw": raw})


def _answer(number: int, *blocks: dict[str, Any], parent: str | None = None, **more: Any) -> dict[str, Any]:
    message = {
        "id": f"msg_{number}",
        "content": list(blocks),
        "usage": {"input_tokens": 10, "output_tokens": 2},
    }
    return {"type": "assistant", "message": message, "parent_tool_use_id": parent, **more}


def _use(name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": given}


def test_turns_tools_tokens_and_files_are_counted() -> None:
    """Two frames of one message are one turn; a subagent's are none."""
    progress = progress_of(
        [
            _line("in", _answer(1, {"type": "text", "text": "so"})),
            _line("in", _answer(1, _use("Edit", file_path="/w/a.py", old_string="x"))),
            _line("in", _answer(2, _use("Bash", command="make\n test"), parent="toolu_9"), 5),
        ]
    )

    assert progress.turns == 1
    assert progress.usage == {"input_tokens": 10, "output_tokens": 2}
    assert (progress.last_tool, progress.last_argument) == ("Bash", "make test")
    assert list(progress.files) == ["/w/a.py"]
    assert set(progress.tools_in_flight) == {"toolu_Edit", "toolu_Bash"}


def test_a_retry_is_forgotten_with_the_next_answer() -> None:
    retry = {
        "type": "system",
        "subtype": "api_retry",
        "attempt": 3,
        "retry_delay_ms": 8000,
        "error_status": 529,
    }
    waiting = progress_of([_line("in", retry, 10)])
    going_on = progress_of([_line("in", retry, 10), _line("in", _answer(1), 19)])

    assert waiting.retries[-1]["attempt"] == 3
    assert not going_on.retries


def test_a_torn_or_foreign_line_is_skipped() -> None:
    """A writer that died leaves half a line; nothing else is lost."""
    progress = progress_of(["{", "[]", '{"t": 1}', _line("in", _answer(1)), _line("in", _answer(2))[:50]])

    assert progress.turns == 1


def test_a_deeply_nested_line_is_skipped() -> None:
    """A writer of any kind may leave one; it must not end the worker that looks for an ending."""
    deep = '{"raw": ' + "[" * 100_000
    lines = [_line("in", _answer(1)), deep]

    assert progress_of(lines).turns == 1
    assert rebuilt_ending(a_claim(), lines, before=Meter(), now=datetime(2026, 2, 7, tzinfo=UTC)) is None


def test_a_result_of_an_injected_turn_is_not_ours() -> None:
    """Only a result that names our prompt, or no prompt at all, ends the attempt."""
    progress = Progress()
    progress.add("out", {"type": "user", "uuid": "mine"})

    progress.add("in", {"type": "result", "user_message_uuids": ["other"]})
    assert progress.result is None

    progress.add("in", {"type": "result", "user_message_uuids": ["other", "mine"]})
    assert progress.result is not None


def test_an_attempt_pays_the_difference_to_the_sessions_total() -> None:
    """The CLI's total goes on over a resume; after a kill it begins again below the old one."""
    progress = Progress(result={"type": "result", "total_cost_usd": 5.0})

    assert progress.work(session_id="s", before=Meter(3.0)).total_cost_usd == 2.0
    assert progress.work(session_id="s", before=Meter(9.0)).total_cost_usd == 5.0


def test_without_a_result_the_cost_is_an_estimate() -> None:
    """Of a subagent's answers, too; what the session has cost so far stays known for the next attempt."""
    progress = Progress()
    progress.add("in", _answer(1, {"type": "text", "text": "working"}))
    alone = progress.answers_usd
    progress.add("in", _answer(2, {"type": "text", "text": "working"}, parent="toolu_9"))
    progress.add("in", _answer(3, {"type": "text", "text": "API Error"}, error="server_error"))

    work = progress.work(session_id="s", before=Meter(3.0))

    assert work.total_cost_usd == work.estimated_cost_usd == work.session_estimated_usd == 2 * alone > 0
    assert (work.cost_incomplete, work.session_cost_usd) == (True, 3.0)
    assert (work.num_turns, work.output) == (1, "working")
