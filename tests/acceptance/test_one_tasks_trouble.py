"""What concerns one task, one model or one class of models stays there: the others go on. With the real agent."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from task_queue.demo.scripted_model import ModelError, Reply, Request, Say
from tests.acceptance.agents import AgentRig
from tests.acceptance.conftest import MakeAgentRig, MakeRig
from tests.acceptance.rig import Rig
from tests.limits import in_an_hour, usage_limit
from tests.waiting import eventually

SLOW = 120
ROUNDS = 4


def refusing(request: Request) -> Reply:
    """One task is refused; every other one is done."""
    if "venomous words" in request.first_text:
        return ModelError(403, "permission_error", "Your account does not have access to this model")
    return Say("done")


def test_a_refused_model_waits_alone(make_agent_rig: MakeAgentRig) -> None:
    """The account stays open, and the task behind it runs."""
    rig = make_agent_rig(refusing)
    rig.start()
    rig.ask("task-a", "venomous words", model="claude-opus-4-1")
    rig.ask("task-b", "behind it")

    behind = rig.result("task-b", timeout=SLOW)
    eventually(lambda: _history(rig, "task-a"), timeout=SLOW, what="the first was tried")
    told = rig.json("status")

    assert _history(rig, "task-a") == [("account", False)]
    assert behind["success"]
    assert told["account"]["paused_until"] is None
    assert list(told["account"]["paused_models"]) == ["claude-opus-4-1"]
    (need,) = (each for each in told["attention"] if each["kind"] == "account")
    assert "claude-opus-4-1" in need["sentence"]
    assert "but paused: claude-opus-4-1 until" in rig.cli("status").stdout


@pytest.mark.long
def test_the_task_behind_a_poisoned_one_runs_in_every_round(make_agent_rig: MakeAgentRig) -> None:
    """Where the account is paused for it, another one tries the account first."""
    rig = make_agent_rig(refusing)
    rig.start()
    rig.ask("task-a", "venomous words")
    eventually(lambda: _paused(rig), timeout=SLOW, what="the account is paused")
    for number in range(ROUNDS):
        name = rig.ask(f"task-b{number}", "behind it", priority=1)
        eventually(lambda: _tries(rig) > number, timeout=SLOW, what="the poison is back")  # noqa: B023 - called at once
        eventually(lambda: _paused(rig), timeout=SLOW, what="the account is paused")
        assert not (rig.queue() / "results" / f"{name}.json").exists()
        rig.cli("tasks", "resume-account", check=True)
        result = rig.result(name, timeout=SLOW)
        assert [attempt["outcome"] for attempt in result["attempts"]] == ["succeeded"]

    assert {kind for kind, _ in _history(rig, "task-a")} == {"account"}
    assert not any(counted for _, counted in _history(rig, "task-a"))


@pytest.mark.long
def test_a_limit_for_a_class_holds_its_tasks_only(make_agent_rig: MakeAgentRig) -> None:
    """Also after a restart."""

    def limited(request: Request) -> Reply:
        return (
            usage_limit(of="seven_day_opus", resets_at=in_an_hour())
            if "opus" in request.body["model"]
            else Say("done")
        )

    rig = make_agent_rig(limited, login="CLAUDE_CODE_OAUTH_TOKEN")
    daemon = rig.start()
    rig.ask("task-a", "heavy work", model="opus")
    rig.ask("task-b", "light work", model="sonnet")
    first = rig.result("task-b", timeout=SLOW)
    rig.stop(daemon)
    rig.start()
    rig.ask("task-c", "more such work", model="opus")
    rig.ask("task-d", "light work", model="sonnet")
    second = rig.result("task-d", timeout=SLOW)
    told = {task["task_id"]: task["note"] for task in rig.json("tasks", "list")["tasks"]}

    assert first["success"]
    assert second["success"]
    assert all("opus paused until" in told[name] for name in ("task-a", "task-c")), told
    assert not rig.turns_asked("more such work")
    assert _history(rig, "task-a") == [("limited", False)]


@pytest.mark.long
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_task_that_comes_back_eight_times_waits_for_a_person(
    make_rig: MakeRig, end: signal.Signals
) -> None:
    """Others go on, what depends on it waits, and a retry lets it go on; all that survives a restart."""
    rig = make_rig()
    daemon = rig.start()
    rig.drop_command("task-a", "echo try >> log; [ -e ready ] || exit 75", retry_delay="0.01s")
    rig.drop_command("task-b", "true", depends_on="[task-a]")
    eventually(lambda: _waits_for_a_person(rig, "task-a"), timeout=SLOW, what="it waits for a person")
    rig.stop(daemon, end)
    rig.start()
    rig.drop_command("task-c", "true")
    assert rig.result("task-c")["success"]
    listed, status = rig.cli("tasks", "list"), rig.cli("status")
    shown = rig.json("tasks", "show", "task-a")

    assert rig.side_effects("log") == ["try"] * 8
    assert "came back 8 times in a row" in listed.stdout
    assert status.returncode == 3
    assert "next: task-queue tasks retry task-a" in status.stdout
    assert shown["available_actions"] == ["retry", "cancel", "edit", "priority", "rm"]
    assert [need["kind"] for need in shown["attention"]] == ["returned"]
    (rig.workspace / "ready").touch()
    rig.cli("tasks", "retry", "task-a", check=True)
    assert [rig.result(name)["success"] for name in ("task-a", "task-b")] == [True, True]


def _waits_for_a_person(rig: Rig, name: str) -> bool:
    path = rig.pending() / f".{name}.attempts.json"
    return path.exists() and bool(json.loads(path.read_text())["needs_person"])


def _paused(rig: AgentRig) -> bool:
    return rig.json("status")["account"]["paused_until"] is not None


def _tries(rig: AgentRig) -> int:
    return len(_history(rig, "task-a"))


def _history(rig: AgentRig, name: str) -> list[tuple[str, bool]]:
    """Of a task that was given back."""
    path = rig.pending() / f".{name}.attempts.json"
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"attempts": []}
    return [(attempt["outcome"], attempt["counted"]) for attempt in content["attempts"]]
