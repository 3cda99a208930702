"""The real CLI as a client: a conversation of a person, and an agent within a task."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Request, Say, ScriptedModel, UseTool, child_environment
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.test_guide import a_home
from tests.house.tables import ROOT

_ADD = {"title": "Fix total()", "instructions": "It leaves out the first price.", "verify": ["pytest -q"]}


@pytest.mark.timeout(180)
def test_a_conversation_adds_lists_looks_and_cancels(tmp_path: Path) -> None:
    """With the one line of configuration of docs/mcp.md. The task is of the queue of the present project."""
    programs, shop = a_home(tmp_path), tmp_path / "shop"

    def script(request: Request) -> UseTool | Say:
        match len(request.tool_results):
            case 0:
                return UseTool("mcp__task-queue__add", _ADD)
            case 1:
                return UseTool("mcp__task-queue__list", {"status": ["queued"]})
            case 2 | 3 as turn:
                task_id = json.loads(request.tool_results[0])["task"]["id"]
                return UseTool(f"mcp__task-queue__{('get', 'cancel')[turn - 2]}", {"id": task_id})
            case _:
                return Say("It was queued, and is cancelled.")

    with ScriptedModel(script) as model:
        path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
        env = {**child_environment(tmp_path, model, path=path), "PYTHONPATH": str(ROOT)}

        def typed(*command: str) -> str:
            return subprocess.run(
                command,
                cwd=shop,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=90,
                check=True,
            ).stdout

        typed("task-queue", "init")
        typed("claude", "mcp", "add", "task-queue", "--", "task-queue", "mcp")
        talk = ["claude", "--output-format", "stream-json", "--verbose", "--allowedTools", "mcp__task-queue"]
        frames = list(map(json.loads, typed(*talk, "-p", "Fix it later").splitlines()))

    (began,) = (frame for frame in frames if frame.get("subtype") == "init")
    (result,) = (frame for frame in frames if frame["type"] == "result")
    assert [server["name"] for server in began["mcp_servers"]] == ["task-queue"]
    assert result["permission_denials"] == []
    added, listed, seen, cancelled = map(_answer, model.requests[-1].tool_results)
    assert added["deduplicated"] is False
    assert [task["id"] for task in listed["tasks"]] == [added["task"]["id"]]
    assert seen["task"]["title"] == "Fix total()"
    assert cancelled["task"]["cancel_requested"] is True
    (document,) = shop.glob("tasks/ad-hoc/pending/task-*.md")
    assert "It leaves out the first price." in document.read_text()


def _answer(shown: str) -> Any:
    """The CLI puts links to resources before it."""
    return json.loads(shown[shown.index("{") :])


@pytest.mark.long
def test_an_agent_within_a_task_sees_its_own_only(make_agent_rig: MakeAgentRig) -> None:
    """Also where its client gives the server a few variables only; it can change nothing."""

    def script(request: Request) -> UseTool | Say:
        match len(request.tool_results):
            case 0:
                return UseTool("mcp__task-queue__list", {})
            case 1:
                return UseTool("mcp__task-queue__get", {"id": "task-other"})
            case 2:
                return UseTool("mcp__task-queue__add", _ADD)
            case _:
                return Say("done")

    rig = make_agent_rig(script, agent={"mcp_servers": "project"})
    words = ["-m", "task_queue.cli", "--config", str(rig.config), "mcp"]
    server = {"command": sys.executable, "args": words, "env": {"PYTHONPATH": str(ROOT)}}
    (rig.workspace / ".mcp.json").write_text(json.dumps({"mcpServers": {"task-queue": server}}))
    rig.ask("task-other", "# Of another\nSecret plans.", not_before="2099-01-01T00:00:00Z")
    rig.start()
    rig.ask("task-mine", "# Look around")
    rig.result("task-mine", timeout=60)

    listed, other, added = rig.model.requests[-1].tool_results
    assert [task["id"] for task in json.loads(listed)["tasks"]] == ["task-mine"]
    assert "there is no task task-other" in other
    assert "Secret" not in other
    assert "No such tool" in added
    assert [path.name for path in rig.pending().glob("task-*.md")] == ["task-other.md"]
