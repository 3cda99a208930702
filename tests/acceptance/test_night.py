"""A night in fast motion: three sources, one model, and everything that goes wrong in a night.

``NIGHT`` is the whole story: each task, what its model or program does, and where the morning must find it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import (
    Drop,
    Hang,
    ModelError,
    Refuse,
    Reply,
    Request,
    Say,
    Script,
    UseTool,
    by_task,
)
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.rig import Rig
from tests.acceptance.test_forged_endings import FORGE
from tests.limits import usage_limit
from tests.waiting import eventually
from tests.warm import Process

DAWN_S = 240
"""For a loaded machine; an idle one with two cores needs a third of it."""
CAP_USD = 2.0
TINY_CAP_USD = 0.01
DAILY_CAP_USD = 100.0
LARGE = 100_000
"""Input tokens of the largest response of the night."""

LIMITED = usage_limit(resets_at=None)
THROTTLED = ModelError(429, "rate_limit_error", "slow down")
OVERLOADED = ModelError(529, "overloaded_error", "Overloaded")
UNKNOWN_KEY = ModelError(401, "authentication_error", "invalid bearer token")
STRANGE = ModelError(400, "invalid_request_error", "the prompt is too strange")
DONE = Say("all done")
LARGE_ANSWER = Say("all done", input_tokens=LARGE)
LARGE_STEP = UseTool("Bash", {"command": "true"}, input_tokens=LARGE)
QUOTE = Say("You've hit your 5-hour limit, resets 3am")
TOUCH = bash("echo worked >> log")
SLEEP = bash("sleep 1000")
PUSH = UseTool("Bash", {"command": "git push origin main"})
FORGED = FORGE.replace("task-liar", "task-liar-forges") + "exit 3"
TRY_LATER = "[ -e later ] && exit 0; touch later; exit 75"
STUBBORN = "trap '' TERM; while :; do sleep 1; done"
LEAVES = "setsid sleep 1000 & exit 0"

Act = Callable[[AgentRig, str, str], Reply]
"""Does something to the attempt of a source's task that asks, and answers."""


@dataclass(frozen=True, slots=True, eq=False)
class Once:
    """Happens the first time its turn comes; then the conversation goes on as if it had never been there."""

    reply: Reply | Act


@dataclass(frozen=True, slots=True)
class Row:
    task: str
    """A liar claims, in one way or another, that work was done which was not."""
    does: tuple[Reply | Once, ...] | str
    """The n-th turn gets the n-th reply, the last one repeated; or a command's text."""
    state: str
    history: str
    """Outcomes of its attempts; the last one is the task's."""
    keys: Mapping[str, object]


def row(task: str, does: tuple[Reply | Once, ...] | str, state: str, history: str, **keys: object) -> Row:
    return Row(f"task-{task}", does, state, history, keys)


def announced_limit(_rig: AgentRig, _source: str, _task: str) -> Reply:
    reset = {"anthropic-ratelimit-unified-reset": str(int(time.time()) + 5)}
    return replace(LIMITED, headers={**LIMITED.headers, **reset})


def kill_cli(rig: AgentRig, source: str, task: str) -> Reply:
    os.kill(rig.cli_of(rig.run_record(task, source=source)["pid"]), signal.SIGKILL)
    return Drop()


def kill_runner(rig: AgentRig, source: str, task: str) -> Reply:
    os.kill(rig.run_record(task, source=source)["pid"], signal.SIGKILL)
    return Drop()


# fmt: off
NIGHT: dict[str, tuple[Row, ...]] = {
    #       task              what the model, or the command, does  ends in      its attempts, its keys
    "a": (
        row("plain-1",        (TOUCH, DONE),                        "completed", "succeeded"),
        row("limited",        (Once(announced_limit), DONE),        "completed", "limited succeeded"),
        row("overloaded",     (Once(OVERLOADED), DONE),             "completed", "succeeded"),
        row("liar-denied",    (PUSH, DONE),                         "failed",    "denied"),
        row("over-budget",    (LARGE_STEP,),                        "failed",    "budget", max_budget_usd=TINY_CAP_USD),
        row("cli-killed",     (TOUCH, Once(kill_cli), DONE),        "completed", "crashed succeeded"),
        row("plain-2",        (DONE,),                              "completed", "succeeded"),
        row("exit-0",         "exit 0",                             "completed", "succeeded"),
        row("liar-exit-1",    "echo all done; exit 1",              "failed",    "failed failed"),
        row("exit-75",        TRY_LATER,                            "completed", "unavailable succeeded"),
    ),
    "b": (
        row("large",          (LARGE_ANSWER,),                      "completed", "succeeded"),
        row("hangs",          (Hang(),),                            "failed",    "stalled stalled", idle_timeout="2s"),
        row("refused",        (Refuse(),),                          "failed",    "refused"),
        row("throttled",      (Once(THROTTLED), DONE),              "completed", "succeeded"),
        row("logged-out",     (Once(UNKNOWN_KEY), DONE),            "completed", "account succeeded"),
        row("dropped",        (Once(Drop()), DONE),                 "completed", "succeeded"),
        row("liar-unchecked", (DONE,),                              "failed",    "verify_failed", verify="test -e no"),
        row("plain-3",        (TOUCH, DONE),                        "completed", "succeeded"),
        row("leaves-a-child", LEAVES,                               "completed", "succeeded"),
        row("liar-forges",    FORGED,                               "failed",    "failed failed"),
    ),
    "c": (
        row("limited-long",   (Once(LIMITED), DONE),                "completed", "limited succeeded"),
        row("liar-api-error", (STRANGE,),                           "failed",    "failed failed"),
        row("runner-killed",  (TOUCH, Once(kill_runner), DONE),     "completed", "crashed succeeded"),
        row("quotes-a-limit", (QUOTE,),                             "completed", "succeeded"),
        row("never-ends",     (TOUCH,),                             "failed",    "max_turns", max_turns=2),
        row("denied-checked", (PUSH, DONE),                         "completed", "succeeded", verify="true"),
        row("sleeps",         (SLEEP,),                             "failed",    "timed_out timed_out", timeout="5s"),
        row("plain-4",        (DONE,),                              "completed", "succeeded"),
        row("silent-command", STUBBORN,                             "failed",    "stalled stalled", idle_timeout="1s"),
        row("capped-command", "exit 0",                             "failed",    "rejected", max_budget_usd=1),
    ),
}
# fmt: on


@pytest.mark.timeout(300)
def test_a_night_in_fast_motion(make_agent_rig: MakeAgentRig) -> None:
    """In the morning every task lies where it belongs, spending is within caps, and nothing runs."""
    rigs: list[AgentRig] = []
    scripts = {_text(each): _script(rigs, source, each.task, each.does) for source, each in _rows()}
    rig = make_agent_rig(
        by_task(scripts),
        sources=tuple(NIGHT),
        login="CLAUDE_CODE_OAUTH_TOKEN",
        defaults={
            "workflow": "single",
            "retry_delay": "0.1s",
            "max_attempts": 2,
            "max_budget_usd": CAP_USD,
        },
        limits={"running": 3, "daily_budget_usd": DAILY_CAP_USD, "starts_per_10min": 100},
    )
    rigs.append(rig)
    for source, each in _rows():
        if isinstance(each.does, str):
            keys = {
                "max_budget_usd": "none",
                **each.keys,
            }  # what a command spends is unknown: no cap by default
            rig.drop_command(each.task, each.does, source=source, **keys)
        else:
            rig.ask(each.task, _text(each), source=source, **each.keys)
    daemon = rig.start()

    pauses = _sleep_until_dawn(rig, daemon)

    ends = {each.task: _end(rig, source, each.task) for source, each in _rows()}
    assert ends == {each.task: (each.state, each.history) for _, each in _rows()}
    assert not [each.task for _, each in _rows() if "liar" in each.task and ends[each.task][0] != "failed"]
    assert any("limit" in why for why in pauses), pauses
    _spent_within_caps(rig)
    assert not [lock for source in NIGHT for lock in rig.locks(source)]
    eventually(lambda: not rig.marked(), what="no process of an attempt is left")
    assert rig.state()["pid"] == daemon.pid
    assert rig.stop(daemon) == 0


def _text(row: Row) -> str:
    return f"Do the work of {row.task}."


def _script(rigs: list[AgentRig], source: str, task: str, does: tuple[Reply | Once, ...] | str) -> Script:
    replies = [reply for reply in does if not isinstance(reply, str)]

    def answer(request: Request) -> Reply:
        reply = replies[min(request.turn, len(replies)) - 1]
        if not isinstance(reply, Once):
            return reply
        replies.remove(reply)
        return reply.reply(rigs[0], source, task) if callable(reply.reply) else reply.reply

    return answer


def _sleep_until_dawn(rig: AgentRig, daemon: Process) -> list[str]:
    """Open the account whenever it is paused, until every task has its result; why it was paused."""
    pauses: list[str] = []

    def something_to_do() -> str | None:
        assert daemon.poll() is None, rig.errors()
        why = _pause(rig)
        if why is None and all(_result(rig, source, each.task).exists() for source, each in _rows()):
            return "dawn"
        return why

    while True:
        missing = "all results are there, or the account is paused"
        why = eventually(something_to_do, timeout=DAWN_S, what=missing)
        if why == "dawn":
            return pauses
        pauses.append(str(why))
        rig.cli("tasks", "resume-account", check=True)


def _end(rig: Rig, source: str, task: str) -> tuple[str, str]:
    """Where the task lies and what its attempts were; it lies in one place and has one result."""
    result = rig.result(task, source=source)
    places = [
        path
        for folder in ("pending", "completed", "failed")
        for path in (rig.home / "tasks").glob(f"*/{folder}/{task}.md")
    ]
    assert list((rig.home / "tasks").glob(f"*/results/{task}.json")) == [_result(rig, source, task)]
    assert [path.parent.parent.name for path in places] == [source], places
    outcomes = [attempt["outcome"] for attempt in result["attempts"]]
    assert result["outcome"] == outcomes[-1]
    assert result["success"] == (result["state"] == "completed") == (places[0].parent.name == "completed")
    return places[0].parent.name, " ".join(outcomes)


def _spent_within_caps(rig: Rig) -> None:
    """The ledger and the results agree, and no task is over its cap by more than a response."""
    by_task = {
        each.task: float(rig.result(each.task, source=source)["total_cost_usd"] or 0)
        for source, each in _rows()
    }
    entered = [
        json.loads(line)["usd"]
        for path in _state(rig, "ledger.jsonl")
        for line in path.read_text().splitlines()
    ]
    response = by_task["task-large"]
    assert response > TINY_CAP_USD
    assert sum(entered) == pytest.approx(sum(by_task.values()), abs=1e-5)  # results are rounded
    assert TINY_CAP_USD < by_task["task-over-budget"] <= TINY_CAP_USD + response
    assert max(by_task.values()) <= CAP_USD + response
    assert sum(entered) <= DAILY_CAP_USD + len(NIGHT) * response


def _pause(rig: Rig) -> str | None:
    for path in _state(rig, "accounts.json"):
        try:
            account: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return str(account["why"]) if account.get("paused_until") else None
    return None


def _result(rig: Rig, source: str, task: str) -> Path:
    return rig.queue(source) / "results" / f"{task}.json"


def _state(rig: Rig, name: str) -> list[Path]:
    return list(rig.home.glob(f".local/state/task-queue/*/{name}"))


def _rows() -> list[tuple[str, Row]]:
    return [(source, each) for source, rows in NIGHT.items() for each in rows]
