"""Money: no way of ending spends past a cap, and what could not be told is estimated and says so."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from task_queue.demo.scripted_model import Hang, Reply, Request, Say, UseTool, in_turn
from tests.acceptance.agents import WORK, AgentRig, bash
from tests.acceptance.conftest import MakeAgentRig
from tests.sampling import short_and_long
from tests.waiting import eventually

LARGE = 100_000
RESPONSE_USD = 0.41
"""What a response to that many tokens costs with the CLI's default model (2.1.330), and a little."""
CAP_USD = 0.7
"""Crossed by the second response."""
STEP = UseTool("Bash", {"command": "true"}, input_tokens=LARGE)
SLOW = 240


def answers_once(request: Request) -> Reply:
    """Each attempt gets one answer, and then silence."""
    prompted = any(words in request.user_texts[-1] for words in ("Carry out", "did not end"))
    return STEP if prompted else Hang()


def sleeps(request: Request) -> Reply:
    """Each attempt is answered with a command that outlasts it."""
    return UseTool("Bash", {"command": "sleep 600", "timeout": 600_000}, input_tokens=LARGE)


@pytest.mark.parametrize(
    ("script", "keys", "endings"),
    [
        pytest.param(answers_once, {"idle_timeout": "1s"}, "stalled", id="silence"),
        pytest.param(sleeps, {"timeout": "10s"}, "timed_out", id="wall clock", marks=pytest.mark.long),
    ],
)
def test_attempts_that_never_end_cannot_spend_past_the_cap(
    make_agent_rig: MakeAgentRig, script: Any, keys: dict[str, str], endings: str
) -> None:
    """The task ends as over its budget, long before its attempts are used up."""
    rig = make_agent_rig(script)
    rig.start()
    rig.ask("task-loops", "do it", max_attempts=50, retry_delay="0.1s", max_budget_usd=CAP_USD, **keys)

    result = rig.result("task-loops", timeout=SLOW)

    outcomes = [attempt["outcome"] for attempt in result["attempts"]]
    assert outcomes[0] == endings, result
    assert (outcomes[-1], result["state"]) == ("budget", "failed"), result
    assert CAP_USD <= result["total_cost_usd"] <= CAP_USD + RESPONSE_USD
    assert 0 < result["estimated_cost_usd"] <= result["total_cost_usd"]
    assert result["cost_incomplete"]
    assert _ledger(rig) == pytest.approx(result["total_cost_usd"])
    assert "estimated" in rig.cli("tasks", "show", "task-loops").stdout
    assert "estimated" in rig.cli("status").stdout
    assert "estimated" in (rig.queue() / "reports/task-loops.md").read_text()


@pytest.mark.parametrize("scope", short_and_long(["source"], ["day"]))
def test_attempts_that_never_end_cannot_spend_past_the_days_cap(
    make_agent_rig: MakeAgentRig, scope: str
) -> None:
    """The task waits for the next day, and has asked the model no more often than the cap allows."""
    rig = make_agent_rig(answers_once, limits={"daily_budget_usd": CAP_USD} if scope == "day" else {})
    if scope == "source":
        document = json.loads(rig.config.read_text())
        document["task_source_directories"][0]["daily_budget_usd"] = CAP_USD
        rig.config.write_text(json.dumps(document))
    rig.start()
    rig.ask("task-loops", "do it", max_attempts=50, retry_delay="0.1s", idle_timeout="1s")

    eventually(
        lambda: _waits_for_tomorrow(rig), timeout=SLOW, what=f"the day's budget is spent; {rig.errors()}"
    )

    assert _ledger(rig) >= CAP_USD
    assert _ledger(rig) <= CAP_USD + RESPONSE_USD
    assert (rig.pending() / "task-loops.md").exists()


def test_what_a_killed_runner_had_spent_is_charged(make_agent_rig: MakeAgentRig) -> None:
    """Nobody was left to tell: it is read from the transcript, and the turn counts, too."""
    rig = make_agent_rig(in_turn(UseTool("Bash", {"command": WORK}, input_tokens=LARGE), Say("done")))
    rig.start()
    rig.ask("task-long", "do it", retry_delay="0.1s")
    rig.started("log")
    rig.session_keeps('"tool_use"')  # or the resumed session would pay for that answer again
    os.kill(rig.run_record("task-long")["pid"], signal.SIGKILL)

    result = rig.result("task-long", timeout=SLOW)

    crashed, succeeded = result["attempts"]
    assert (crashed["outcome"], crashed["num_turns"]) == ("crashed", 1)
    assert crashed["total_cost_usd"] == crashed["estimated_cost_usd"] > 0.9 * (RESPONSE_USD - 0.01)
    assert 0 < succeeded["total_cost_usd"] < 0.1
    assert _ledger(rig) == pytest.approx(result["total_cost_usd"])


def test_a_running_agents_cost_is_shown(make_agent_rig: MakeAgentRig) -> None:
    """As far as it is known from its answers."""
    rig = make_agent_rig(in_turn(UseTool("Bash", {"command": WORK}, input_tokens=LARGE), Say("done")))
    rig.start()
    rig.ask("task-long", "do it")
    rig.started("log")

    (running,) = rig.json("status")["sources"][0]["running"]

    assert running["cost_usd"] == pytest.approx(RESPONSE_USD, rel=0.05)
    assert "about $0.4" in rig.cli("status").stdout
    (rig.workspace / "go").touch()
    rig.result("task-long", timeout=SLOW)


def test_a_crashed_program_has_cost_nothing(make_agent_rig: MakeAgentRig) -> None:
    """There is nothing incomplete about the cost of what has none."""
    rig = make_agent_rig(in_turn(bash("true")))
    rig.start()
    rig.drop_command("task-dies", "kill -9 $$", max_attempts=1)

    result = rig.result("task-dies")

    assert result["outcome"] == "crashed"
    assert (result["total_cost_usd"], result["cost_incomplete"]) == (None, False)


def _ledger(rig: AgentRig) -> float:
    """What was entered, in USD."""
    lines = [
        line
        for path in rig.home.glob(".local/state/task-queue/*/ledger.jsonl")
        for line in path.read_text().splitlines()
    ]
    return sum(float(json.loads(line)["usd"]) for line in lines)


def _waits_for_tomorrow(rig: AgentRig) -> bool:
    """Whether the only task is held back by the day's budget: before its start, or after having crossed it."""
    waiting = rig.json("status")["sources"][0]["waiting"]
    journal = rig.pending() / ".task-loops.attempts.json"
    ended = json.loads(journal.read_text())["attempts"][-1]["outcome"] if journal.exists() else ""
    why = " ".join(str(task["why"]) for task in waiting)
    return "daily budget" in why + str(rig.state()["sources"]["a"]["why"]) or (
        ended == "budget" and bool(waiting)
    )
