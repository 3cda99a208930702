"""The MCP servers of a project, through the real SDK and CLI: one that works, one that does not start."""

from __future__ import annotations

import json
import sys

from task_queue.demo.scripted_model import Request, Say, UseTool
from tests.acceptance.audits import SLOW, a_repository, audited, audits, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.waiting import eventually

SERVER = """
import os
from mcp.server.mcpserver import MCPServer
server = MCPServer("writer")
@server.tool()
def write(text: str) -> str:
    "Append a line."
    with open("written.txt", "a") as file:
        file.write(f"{text} {os.environ['GIVEN']}\\n")
    return "appended"
server.run()
"""
TOOL = "mcp__writer__write"


def test_servers_of_the_project_work_for_the_implementer_once_they_are_allowed(
    make_agent_rig: MakeAgentRig,
) -> None:
    """Not by default, which is told, and never for the auditor. After a change, not before it is accepted."""

    def script(request: Request) -> UseTool | Say:
        if audits(request):
            answers = (UseTool(TOOL, {"text": "a line of the auditor"}), verdict("pass"))
            return answers[request.turn - 1] if request.turn <= len(answers) else Say("done")
        return Say("done") if just_ran(request) else UseTool(TOOL, {"text": "a line"})

    rig = make_agent_rig(script, **audited())
    repository = a_repository(rig)
    (repository / "server.py").write_text(SERVER)
    servers = {
        "writer": {
            "command": sys.executable,
            "args": ["server.py"],
            "env": {"GIVEN": "${NOT_SET:-by default}"},
        },
        "broken": {"command": "/bin/false"},
    }
    (repository / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))
    rig.start()
    rig.ask("task-a", "# Write a line")
    first = rig.result("task-a", timeout=SLOW)
    before = (repository / "written.txt").exists()
    document = json.loads(rig.config.read_text())
    document["agent"]["mcp_servers"] = "project"
    rig.config.write_text(json.dumps(document))
    eventually(
        lambda: rig.cli("events", "--type", "configuration_changed").stdout,
        what="the configuration is in force",
    )
    rig.ask("task-b", "# Write a line")
    second = rig.result("task-b", timeout=SLOW)
    (repository / "server.py").write_text(SERVER + "# changed\n")
    rig.ask("task-c", "# Write a line")
    third = rig.result("task-c", timeout=SLOW)

    told = "without the MCP servers of .mcp.json (writer, broken): agent.mcp_servers is none"
    assert told in first["notes"], first
    assert not before
    assert second["outcome"] == "succeeded", second
    assert (repository / "written.txt").read_text() == "a line by default\n"
    assert "the MCP server broken did not start: failed" in second["notes"]
    assert any("server.py was changed" in note for note in third["notes"]), third
