"""A transcript in words: what each frame says, and what a call has to do with its result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from task_queue.app.transcript_text import EntryKind, TranscriptEntry, TranscriptReader

AT = "2026-02-07T12:00:00+00:00"


def lines(*frames: Any, direction: str = "in") -> Iterator[str]:
    for frame in frames:
        yield json.dumps({"t": AT, "dir": direction, "raw": frame})


def read(*frames: Any, direction: str = "in", live: bool = False) -> list[TranscriptEntry]:
    return list(TranscriptReader(live=live).entries(lines(*frames, direction=direction)))


def call(name: str, number: int, *, parent: str | None = None) -> dict[str, Any]:
    block = {"type": "tool_use", "id": f"c{number}", "name": name, "input": {"command": f"make {number}"}}
    return {"type": "assistant", "parent_tool_use_id": parent, "message": {"content": [block]}}


def result(number: int, *, parent: str | None = None) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": f"c{number}", "content": f"made {number}"}
    return {"type": "user", "parent_tool_use_id": parent, "message": {"content": [block]}}


def told(entries: list[TranscriptEntry]) -> list[tuple[str, str]]:
    return [(entry.text, entry.body) for entry in entries]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"type": "workflow", "name": "audited"}, "workflow: audited"),
        ({"type": "phase", "phase": "verify"}, "verify"),
        ({"type": "site", "workspace": "/srv/web", "isolation": "none"}, "checkout: /srv/web"),
        ({"type": "session lost", "text": "no such id"}, "the earlier session is lost: no such id"),
        ({"type": "vouched", "token": "x"}, None),
        (
            {"type": "result", "subtype": "success", "num_turns": 1},
            "the session ended: success, 1 turn",
        ),
        (
            {"type": "result", "subtype": "success", "is_error": True, "num_turns": 2, "result": "Bad key"},
            "the session ended: error: Bad key, 2 turns",
        ),
        ({"type": "command", "argv": ["sh", "-c"]}, "command: sh -c"),
        ({"type": "exit", "code": 3}, "exit code 3"),
        ({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}, None),
        (
            {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}},
            "the usage limit ? is reached",
        ),
        (
            {"type": "system", "subtype": "api_retry", "attempt": 1, "error": "timeout"},
            "a request failed (timeout): retry 1",
        ),
        ("ended 2 processes", "note: ended 2 processes"),
        ({"type": "of a later release", "x": 1}, 'note: {"type": "of a later release", "x": 1}'),
    ],
)
def test_each_frame_says_what_happened(raw: Any, says: str | None) -> None:
    """The CLI calls a session a success that could not even log in."""
    assert [entry.text for entry in read(raw, direction="note")] == ([] if says is None else [says])


def test_a_result_stands_with_its_call() -> None:
    """Also where several were called at once."""
    entries = read(call("Bash", 1), call("Bash", 2), result(1), result(2))

    assert told(entries) == [("Bash make 1", "made 1"), ("Bash make 2", "made 2")]


def test_a_call_that_runs_is_shown_at_once_to_a_follower() -> None:
    """And its result when it comes: alone directly below it, with its name elsewhere."""
    reader = TranscriptReader(live=True)
    coming = reader.entries(lines(call("Bash", 1), result(1), call("Bash", 2), call("Bash", 3), result(2)))

    assert next(coming).text == "Bash make 1"
    assert told(list(coming)) == [
        ("", "made 1"),
        ("Bash make 2", ""),
        ("Bash make 3", ""),
        ("result of Bash make 2", "made 2"),
    ]


def test_a_subagent_is_shown_below_the_call_that_started_it() -> None:
    """Not after its result."""
    entries = read(call("Agent", 1), call("Bash", 2, parent="c1"), result(2, parent="c1"), result(1))

    assert told(entries) == [
        ("Agent make 1", ""),
        ("Bash make 2", "made 2"),
        ("result of Agent make 1", "made 1"),
    ]
    assert [entry.of_subagent for entry in entries] == [False, True, False]


def test_a_call_without_a_result_does_not_hold_back_the_rest() -> None:
    """The next phase, the end, or very many entries show it as it is."""
    phase = {"type": "phase", "phase": "verify 1"}

    assert [e.text for e in read(call("Bash", 1), phase, result(1))] == [
        "Bash make 1",
        "verify 1",
        "result of Bash make 1",
    ]
    many = TranscriptReader().entries(lines(call("Bash", 1), *[{"type": "exit", "code": 0}] * 1000))
    assert next(many).text == "Bash make 1"
    assert told(read(call("Bash", 1))) == [("Bash make 1", "")]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "",
        '{"raw": 3}',
        '{"raw": {"type": []}}',
        '{"raw": {"type": "assistant", "message": 3}}',
        '{"raw": {"type": "assistant", "message": {"content": [3, {"type": "tool_use", "input": 3}]}}}',
        '{"raw": {"type": "user", "message": {"content": [{"type": "tool_result", "content": [3, {}, null]}]}}}',
        '{"raw": {"type": "rate_limit_event", "rate_limit_info": 3}}',
        '{"raw": {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1e300}}}',
        '{"t": 3, "raw": {"type": "check", "exit_code": "x", "duration_ms": 1e999}}',
        '{"raw": {"type": "command"}}',
        '{"raw": {"type": "system", "subtype": "api_retry", "retry_delay_ms": 1e300}}',
        '{"raw": {"type": "result", "duration_ms": 1e300, "total_cost_usd": "x"}}',
    ],
)
def test_no_line_breaks_the_reader(line: str) -> None:
    """What follows is read."""
    *_, last = TranscriptReader().entries([line, *lines({"type": "exit", "code": 0})])

    assert (last.kind, last.text) == (EntryKind.FACT, "exit code 0")
