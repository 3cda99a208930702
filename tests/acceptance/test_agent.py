"""The main job with the real daemon, the real SDK and the real CLI; only the model is scripted."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime
from typing import Any

import pytest

from task_queue.demo.scripted_model import Hang, ModelError, Reply, Say, UseTool, by_task, in_turn
from task_queue.domain.task import TaskId
from task_queue.store.folder.layout import Layout
from tests.acceptance.agents import WORK, AgentRig, bash
from tests.acceptance.conftest import MakeAgentRig
from tests.limits import in_an_hour, usage_limit
from tests.processes import runs
from tests.waiting import eventually

WORKS = in_turn(bash(WORK), Say("done"))
SLOW = 60


def test_a_dropped_file_becomes_work(make_agent_rig: MakeAgentRig) -> None:
    """The file that was asked for, the document in completed/, and a result that carries the evidence."""
    rig = make_agent_rig(
        in_turn(UseTool("Write", {"file_path": "hello.py", "content": "print('hi')\n"}), Say("written"))
    )
    rig.start()
    rig.ask("task-hello", "# Say hi\n\nWrite hello.py.")

    result = rig.result("task-hello")

    assert (rig.workspace / "hello.py").read_text() == "print('hi')\n"
    assert (result["success"], result["outcome"], result["state"]) == (True, "succeeded", "completed")
    assert result["output"] == "written"
    assert result["num_turns"] == 2
    assert result["total_cost_usd"] > 0
    assert result["session_id"] == result["attempts"][0]["session_id"] is not None
    assert result["model_usage"]
    assert result["billed_to"] == "api_key"
    assert (rig.queue() / "completed/task-hello.md").read_text() == "# Say hi\n\nWrite hello.py.\n"
    assert list(rig.pending().iterdir()) == []
    assert rig.marked() == []


def test_an_agent_reads_the_files_that_came_with_its_task(make_agent_rig: MakeAgentRig) -> None:
    """Their names are in what it reads first, and its tools reach them."""
    rig = make_agent_rig(in_turn(bash('cat "$TASK_QUEUE_ARTIFACTS/figures.csv"'), Say("read")))
    folder = Layout(rig.pending()).artifacts(TaskId("task-a"))
    folder.mkdir(parents=True)
    (folder / "figures.csv").write_text("1,2\n")
    rig.start()
    rig.ask("task-a", "# Add the figures")

    assert rig.result("task-a", timeout=SLOW)["outcome"] == "succeeded"
    assert rig.tool_results("Add the figures") == ["1,2"]
    assert "`figures.csv`" in rig.model.requests[0].first_text


def test_a_configuration_beside_the_workspace_closes_only_itself(make_agent_rig: MakeAgentRig) -> None:
    """--config may name a file of the project: the agent works beside it and cannot change it."""
    replies: list[Reply] = []
    rig = make_agent_rig(lambda request: replies[min(request.turn, 2) - 1])
    rig.start()
    before = rig.config.read_text()
    replies += [UseTool("Write", {"file_path": str(rig.config), "content": "{}"}), Say("done")]
    rig.ask("task-forges", "forge it")

    assert rig.result("task-forges")["outcome"] == "denied"
    assert rig.config.read_text() == before


@pytest.mark.long
def test_tasks_of_one_source_run_one_after_the_other(make_agent_rig: MakeAgentRig) -> None:
    """By the time in their names; the second agent asks its first question after the first has ended."""
    rig = make_agent_rig(in_turn(bash("echo $$ >> log"), Say("done")))
    for number in (2, 1):
        rig.ask(f"task-20260207-00000{number}-x", f"the task number {number}")
    rig.start()
    first, second = (rig.result(f"task-20260207-00000{number}-x", timeout=SLOW) for number in (1, 2))

    order = [request.first_text.partition("the task number ")[2][:1] for request in rig.model.requests]
    assert order == ["1", "1", "2", "2"]
    assert first["completed_at"] <= second["started_at"]


def test_two_sources_work_in_parallel(make_agent_rig: MakeAgentRig) -> None:
    """Each agent waits for the other's side effect, so neither can end alone."""
    meet = "touch {mine}; while [ ! -e {other} ]; do sleep 0.05; done"
    rig = make_agent_rig(
        by_task(
            {
                "the left one": in_turn(bash(meet.format(mine="l", other="r")), Say("met")),
                "the right one": in_turn(bash(meet.format(mine="r", other="l")), Say("met")),
            }
        ),
        sources=("a", "b"),
    )
    rig.start()
    rig.ask("task-left", "the left one", source="a")
    rig.ask("task-right", "the right one", source="b")

    assert rig.result("task-left", timeout=SLOW)["success"]
    assert rig.result("task-right", source="b", timeout=SLOW)["success"]


def test_an_agent_that_fails_is_tried_again_and_then_given_up(make_agent_rig: MakeAgentRig) -> None:
    """An error of the API is no success, whatever the agent's last frame calls it."""
    rig = make_agent_rig(in_turn(ModelError(400, "invalid_request_error", "the prompt is too strange")))
    rig.start()
    rig.ask("task-fails", "do it", max_attempts=2, retry_delay="1s")

    result = rig.result("task-fails", timeout=SLOW)

    assert (result["success"], result["outcome"], result["dead_letter"]) == (False, "failed", True)
    assert [attempt["counted"] for attempt in result["attempts"]] == [True, True]
    assert "too strange" in json.dumps([result["error"], result["evidence"]])


def test_a_denied_tool_is_not_success(make_agent_rig: MakeAgentRig) -> None:
    """The agent claims to have done it; the document lies in failed/ and the result names the tool."""
    rig = make_agent_rig(in_turn(UseTool("Bash", {"command": "git push origin main"}), Say("all pushed")))
    rig.start()
    rig.ask("task-push", "push it")

    result = rig.result("task-push", timeout=SLOW)

    assert (result["success"], result["outcome"], result["state"]) == (False, "denied", "failed")
    assert "git push origin main" in json.dumps(result["permission_denials"])
    assert len(result["attempts"]) == 1


def test_a_killed_daemon_loses_and_repeats_nothing(make_agent_rig: MakeAgentRig) -> None:
    """The agent goes on, the next daemon adopts it, its result is filed once, its side effect happened once."""
    rig = make_agent_rig(WORKS)
    daemon = rig.start()
    rig.ask("task-long", "do it")
    rig.started("log")
    rig.stop(daemon, signal.SIGKILL)
    runner = rig.run_record("task-long")["pid"]

    rig.start()
    eventually(lambda: rig.state()["sources"]["a"]["task_id"] == "task-long", what="it is adopted")
    assert runs(runner)
    (rig.workspace / "go").touch()
    result = rig.result("task-long")

    assert (result["success"], len(result["attempts"])) == (True, 1)
    assert rig.side_effects("log") == ["start", "end"]
    assert rig.turns_asked() == [1, 2]


def test_a_stopped_agent_goes_on_in_its_session(make_agent_rig: MakeAgentRig) -> None:
    """After the stop nothing runs; the next start continues the same session, and nothing is counted."""
    rig = make_agent_rig(WORKS)
    daemon = rig.start()
    rig.ask("task-long", "do it", max_attempts=1)
    rig.started("log")

    assert rig.stop(daemon) == 0
    assert rig.marked() == []
    assert rig.side_effects("log") == ["start"]
    rig.start()
    result = rig.result("task-long", timeout=SLOW)
    assert _history(result) == [("interrupted", False), ("succeeded", True)]
    assert len({attempt["session_id"] for attempt in result["attempts"]}) == 1
    assert rig.turns_asked() == [1, 2]
    assert rig.side_effects("log") == ["start"]


def test_a_killed_runner_leaves_nothing_and_its_session_goes_on(make_agent_rig: MakeAgentRig) -> None:
    """No process of the attempt survives, a tool's included; the crash is counted, the session continued."""
    rig = make_agent_rig(WORKS)
    rig.start()
    rig.ask("task-long", "do it", retry_delay="1s")
    rig.started("log")
    crashed = set(rig.marked())
    os.kill(rig.run_record("task-long")["pid"], signal.SIGKILL)

    result = rig.result("task-long", timeout=SLOW)

    assert not [pid for pid in crashed if runs(pid)]
    assert _history(result) == [("crashed", True), ("succeeded", True)]
    _is_one_conversation(rig, result)


@pytest.mark.long
def test_a_killed_daemon_and_runner_are_recovered(make_agent_rig: MakeAgentRig) -> None:
    """The next daemon sweeps what is left, counts the crash and continues the session."""
    rig = make_agent_rig(WORKS)
    daemon = rig.start()
    rig.ask("task-long", "do it", retry_delay="1s")
    rig.started("log")
    crashed = set(rig.marked())
    rig.stop(daemon, signal.SIGKILL)
    os.kill(rig.run_record("task-long")["pid"], signal.SIGKILL)

    rig.start()
    result = rig.result("task-long", timeout=SLOW)

    assert not [pid for pid in crashed if runs(pid)]
    assert _history(result) == [("crashed", True), ("succeeded", True)]
    _is_one_conversation(rig, result)


def test_a_killed_cli_is_a_crash_that_goes_on(make_agent_rig: MakeAgentRig) -> None:
    """The agent alone dies: its tool is ended, the crash is counted, the session continued."""
    rig = make_agent_rig(WORKS)
    rig.start()
    rig.ask("task-long", "do it", retry_delay="1s")
    rig.started("log")
    crashed = set(rig.marked())
    os.kill(rig.cli_of(rig.run_record("task-long")["pid"]), signal.SIGKILL)

    result = rig.result("task-long", timeout=SLOW)

    assert not [pid for pid in crashed if runs(pid)]
    assert _history(result) == [("crashed", True), ("succeeded", True)]
    _is_one_conversation(rig, result)


def test_a_cancel_ends_the_agents_whole_tree(make_agent_rig: MakeAgentRig) -> None:
    """A tool's child in a session of its own included; when the command returns, nothing runs any more."""
    rig = make_agent_rig(in_turn(bash("setsid sleep 1000 & " + WORK), Say("done")))
    rig.start()
    rig.ask("task-long", "do it")
    rig.started("log")
    assert len(rig.marked()) >= 4  # runner, CLI, shell, sleep

    said = rig.cli("tasks", "cancel", "task-long", check=True)
    left = rig.marked()
    result = rig.result("task-long")

    assert left == []
    assert "cancelled" in said.stdout
    assert (result["outcome"], result["state"]) == ("cancelled", "failed")
    assert rig.side_effects("log") == ["start"]


def test_a_usage_limit_pauses_and_counts_nothing(make_agent_rig: MakeAgentRig) -> None:
    """The account is paused until the announced reset; the task waits with its session."""
    reset = in_an_hour()
    rig = make_agent_rig(in_turn(usage_limit(resets_at=reset)), login="CLAUDE_CODE_OAUTH_TOKEN")
    rig.start()
    rig.ask("task-1", "do it")
    rig.ask("task-2", "do that")
    why = eventually(lambda: _why(rig), timeout=SLOW, what="the account is paused")
    eventually(lambda: not rig.locks(), what="the task is given back")

    journal = json.loads((rig.pending() / ".task-1.attempts.json").read_text())

    (account,) = rig.home.glob(".local/state/task-queue/*/accounts.json")
    until = datetime.fromisoformat(json.loads(account.read_text())["paused_until"]).timestamp()

    assert f"account paused until {time.strftime('%Y-%m-%d %H:%M', time.localtime(until))}" in why
    assert reset + 60 <= until <= reset + 180
    assert _history(journal) == [("limited", False)]
    assert (rig.pending() / "task-1.md").exists()
    assert not (rig.queue() / "logs/task-2").exists()


def test_a_refused_login_pauses_the_account(make_agent_rig: MakeAgentRig) -> None:
    """401 is nobody's task's fault: it waits, and the source says what is wrong."""
    rig = make_agent_rig(in_turn(ModelError(401, "authentication_error", "invalid x-api-key")))
    rig.start()
    rig.ask("task-1", "do it", max_attempts=1)
    why = eventually(lambda: _why(rig), timeout=SLOW, what="the account is paused")
    eventually(lambda: not rig.locks(), what="the task is given back")

    journal = json.loads((rig.pending() / ".task-1.attempts.json").read_text())

    assert "account paused" in why
    assert _history(journal) == [("account", False)]
    assert (rig.pending() / "task-1.md").exists()


def test_no_login_pauses_the_account(make_agent_rig: MakeAgentRig) -> None:
    """Nobody has logged in on this machine: the task waits, no model is asked, and doctor gives the command."""
    rig = make_agent_rig(in_turn(Say("never")), login="UNUSED")
    rig.start()
    rig.ask("task-1", "do it", max_attempts=1)
    why = eventually(lambda: _why(rig), timeout=SLOW, what="the account is paused")
    eventually(lambda: not rig.locks(), what="the task is given back")

    doctor = rig.cli("doctor").stdout

    assert "account paused" in why
    assert "task-queue doctor" in why
    assert "the agent is not logged in" in doctor
    assert f"CLAUDE_CONFIG_DIR={json.loads(rig.config.read_text())['agent']['config_dir']} " in doctor
    assert "claude auth login" in doctor
    assert (rig.pending() / "task-1.md").exists()


def test_doctor_says_who_is_logged_in(make_agent_rig: MakeAgentRig) -> None:
    """In the environment that the tasks have, where it is a key."""
    rig = make_agent_rig(in_turn(Say("never")))

    assert "the agent is logged in (api_key)" in rig.cli("doctor").stdout
    assert rig.model.requests == []
    assert rig.model.requests == []


def test_without_a_cli_nothing_is_lost(make_agent_rig: MakeAgentRig) -> None:
    """The source says what is missing and what to do; once it is set right, the task runs."""
    rig = make_agent_rig(in_turn(Say("done")), agent={"cli_path": "/nowhere/claude"})
    rig.start()
    rig.ask("task-1", "do it", max_attempts=1, retry_delay="1s")
    why = eventually(lambda: _why(rig), timeout=SLOW, what="the source says why")
    document = json.loads(rig.config.read_text())
    del document["agent"]["cli_path"]
    rig.config.write_text(json.dumps(document))

    result = rig.result("task-1", timeout=SLOW)

    assert "/nowhere/claude" in why
    assert result["success"]
    assert [attempt["counted"] for attempt in result["attempts"][:-1]] == [False] * (
        len(result["attempts"]) - 1
    )


def test_a_model_that_never_answers_does_not_block_a_stop(make_agent_rig: MakeAgentRig) -> None:
    """Silence behind the agent: the stop ends within its grace, and nothing is left."""
    rig = make_agent_rig(in_turn(Hang()))
    daemon = rig.start()
    rig.ask("task-hangs", "do it")
    rig.model.wait_for_request()
    asked = time.monotonic()

    assert rig.stop(daemon) == 0
    assert time.monotonic() - asked < 15
    assert rig.marked() == []


def _history(record: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(attempt["outcome"], attempt["counted"]) for attempt in record["attempts"]]


def _is_one_conversation(rig: AgentRig, result: dict[str, Any]) -> None:
    """One session; the model saw the task begin once, and the tool's side effect happened once."""
    assert len({attempt["session_id"] for attempt in result["attempts"]}) == 1
    assert rig.turns_asked().count(1) == 1
    assert rig.side_effects("log") == ["start"]


def _why(rig: AgentRig) -> str:
    return rig.state()["sources"]["a"]["why"] or ""
