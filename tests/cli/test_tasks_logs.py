"""``tasks logs``: what a person reads of an attempt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.bench import Bench, a_bench, write_json

TASK = "task-20260207-110000-fix"
WORDS = "The test fails because the total is rounded twice, once in the cart and once more where the invoice is made."


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """One task that failed in two attempts; the second one is told in full."""
    bench = a_bench(tmp_path)
    queue = bench.pending().parent
    (queue / "failed" / f"{TASK}.md").write_text("# Fix the total\n")
    write_json(queue / "results" / f"{TASK}.json", {"success": False, "outcome": "audit_rejected"})
    attempts = queue / "logs" / TASK
    write(attempts / "attempt-1", [(0, "note", {"type": "workflow", "name": "audited"})])
    write(attempts / "attempt-2", list(told()))
    ending = {"outcome": {"kind": "audit_rejected", "reason": "the audit failed in round 1"}}
    write_json(attempts / "attempt-2" / "outcome.json", ending)
    return bench


def told() -> list[tuple[int, str, Any]]:
    """Seconds after 23:50, direction and frame."""
    output = "\n".join(f"tests/test_{number}.py .." for number in range(30))
    limit = {"status": "rejected", "rateLimitType": "five_hour", "resetsAt": 1_770_530_400}
    near = {"status": "allowed_warning", "rateLimitType": "seven_day", "utilization": 0.82}
    return [
        (0, "note", {"type": "workflow", "name": "audited"}),
        (0, "note", {"type": "phase", "phase": "prepare"}),
        (1, "note", {"type": "site", "workspace": "/srv/shop", "isolation": "worktree"}),
        (9, "note", check("npm ci", purpose="setup", duration_ms=8_200)),
        (9, "note", {"type": "phase", "phase": "implement 1"}),
        (10, "note", {"type": "permissions", "profile": "guarded", "allow": ["Bash"]}),
        (10, "out", {"type": "user", "message": {"content": "Carry out the task.\n\n# Fix the total"}}),
        (11, "in", {"type": "system", "subtype": "init", "session_id": "5f2", "model": "claude-opus"}),
        (12, "in", {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}),
        (12, "in", {"type": "rate_limit_event", "rate_limit_info": near}),
        (14, "in", said({"type": "text", "text": WORDS})),
        (15, "in", used("a", "Bash", command="pytest -q \\\n  --no-header")),
        (15, "in", used("b", "Read", file_path="/srv/shop/cart.py")),
        (17, "in", answered("a", output, is_error=True)),
        (18, "in", answered("b", [{"type": "text", "text": "def total():\n    return 1"}])),
        (19, "in", used("c", "Edit", file_path="/srv/shop/cart.py", new_string="x")),
        (19, "in", answered("c", "The file has been updated.")),
        (20, "in", used("d", "Agent", description="look for callers")),
        (21, "in", {**used("e", "Grep", pattern="total("), "parent_tool_use_id": "d"}),
        (22, "in", {**answered("e", "invoice.py"), "parent_tool_use_id": "d"}),
        (25, "in", answered("d", "One caller: invoice.py")),
        (26, "in", {"type": "system", "subtype": "permission_denied", "tool_name": "WebFetch"}),
        (30, "in", retry()),
        (31, "in", {"type": "rate_limit_event", "rate_limit_info": limit}),
        (32, "in", {"type": "tool_progress", "elapsed": 3}),
        (33, "err", "warning: something of the CLI"),
        (34, "in", ended()),
        (35, "note", "ended 2 processes that were left running"),
        (36, "note", {"type": "phase", "phase": "verify 1"}),
        (80, "note", check("ruff check", duration_ms=900)),
        (80, "note", check("pytest -q", exit_code=1, duration_ms=43_000, tail=output + "\n1 failed")),
        (660, "note", {"type": "phase", "phase": "audit 1"}),
        (661, "in", said({"type": "text", "text": "The change is incomplete."})),
    ]


def check(command: str, *, purpose: str = "verify", **more: Any) -> dict[str, Any]:
    return {"type": "check", "purpose": purpose, "command": command, "exit_code": 0, **more}


def said(block: dict[str, Any], *, by: str = "assistant") -> dict[str, Any]:
    return {"type": by, "message": {"content": [block]}}


def used(call: str, name: str, **given: str) -> dict[str, Any]:
    return said({"type": "tool_use", "id": call, "name": name, "input": given})


def answered(call: str, content: Any, *, is_error: bool = False) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call, "content": content, "is_error": is_error}
    return said(block, by="user")


def retry() -> dict[str, Any]:
    return {
        "type": "system",
        "subtype": "api_retry",
        "attempt": 3,
        "max_retries": 10,
        "retry_delay_ms": 8_000,
        "error_status": 529,
        "error": "overloaded",
    }


def ended() -> dict[str, Any]:
    return {
        "type": "result",
        "subtype": "success",
        "num_turns": 6,
        "duration_ms": 24_000,
        "total_cost_usd": 0.41,
    }


def write(attempt: Path, frames: list[tuple[int, str, Any]]) -> None:
    attempt.mkdir(parents=True)
    lines = [
        json.dumps(
            {"t": f"2026-02-07T23:{50 + at // 60}:{at % 60:02}+00:00", "seq": n, "dir": where, "raw": raw}
        )
        if at < 600
        else json.dumps(
            {"t": f"2026-02-08T00:{at // 60 - 10:02}:{at % 60:02}+00:00", "dir": where, "raw": raw}
        )
        for n, (at, where, raw) in enumerate(frames)
    ]
    (attempt / "transcript.jsonl").write_text("\n".join(lines) + "\n")


def test_an_attempt_can_be_read(bench: Bench) -> None:
    """Times, phases, calls with their results, checks, retries and limits."""
    answer = bench.run("tasks", "logs", TASK)

    assert (answer.code, answer.err) == (0, "")
    bench.agrees_with("logs", answer.out)


def test_on_a_terminal_words_are_wrapped_and_output_is_cut(bench: Bench) -> None:
    """Nothing is wider than the terminal but the paths."""
    answer = bench.on_a_terminal("tasks", "logs", TASK, columns=80, TERM="dumb")

    bench.agrees_with("logs-80", answer.out)


@pytest.mark.parametrize(
    ("options", "has", "lacks"),
    [
        (("--phase", "verify"), "check pytest -q", "-> Bash"),
        (("--phase", "implement 1"), "-> Bash", "set-up npm ci"),
        (("--no-tools",), WORDS, "pytest -q \\"),
        (("--since", "2026-02-08"), "The change is incomplete.", "prepare"),
        (("--full",), "tests/test_29.py ..", "more line"),
    ],
    ids=" ".join,
)
def test_only_what_is_wanted_is_shown(bench: Bench, options: tuple[str, ...], has: str, lacks: str) -> None:
    answer = bench.run("tasks", "logs", TASK, *options)

    assert answer.code == 0
    assert has in answer.out
    assert lacks not in answer.out


def test_what_came_later_stands_below_its_phase(bench: Bench) -> None:
    """A phase that began before the wanted time names what followed in it."""
    shown = bench.run("tasks", "logs", TASK, "--since", "2026-02-07T23:50:33+00:00").out

    assert shown.index("implement 1") < shown.index("something of the CLI")
    assert "Carry out" not in shown


def test_an_attempt_that_there_is_not_is_an_error(bench: Bench) -> None:
    """It says which there are; nothing is on stdout."""
    answer = bench.run("tasks", "logs", TASK, "--attempt", "7")
    waits = bench.pending() / "task-waits.md"
    waits.write_text("# Waits\n")
    none = bench.run("tasks", "logs", "task-waits", "--attempt", "1", "--json")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"error: {TASK} has no attempt 7\nhint:  attempts: 1, 2\n"
    assert (none.code, none.out) == (1, "")
    assert bench.run("tasks", "logs", TASK, "--attempt", "1").code == 0
    assert bench.run("tasks", "logs", TASK, "--json").json["attempts"] == [1, 2]


def test_a_phase_that_there_is_not_is_an_error(bench: Bench) -> None:
    """It says which there are."""
    answer = bench.run("tasks", "logs", TASK, "--phase", "land")

    assert answer.code == 1
    assert "phases: prepare, implement 1, verify 1, audit 1" in answer.err


@pytest.mark.parametrize(
    ("attempt", "why"),
    [
        ("2", "attempt 2 has ended: audit_rejected: the audit failed in round 1"),
        ("1", "attempt 1 was cut off; attempt 2 follows"),
    ],
)
def test_following_says_why_it_ends(bench: Bench, attempt: str, why: str) -> None:
    """On stderr; also of an attempt that was killed and has no outcome."""
    answer = bench.run("tasks", "logs", TASK, "--follow", "--attempt", attempt)

    assert (answer.code, answer.err) == (0, f"{why}\n")


@pytest.mark.parametrize("options", [("--phase", "x"), ("--since", "1h"), ("--no-tools",), ("--full",)])
def test_raw_lines_are_not_selected(bench: Bench, options: tuple[str, ...]) -> None:
    assert bench.run("tasks", "logs", TASK, "--raw", *options).code == 2
