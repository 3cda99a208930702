"""`permissions: sandboxed` with the real CLI under the real bubblewrap: what it cannot reach, and that it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.conftest import MakeAgentRig
from tests.processes import kill
from tests.sampling import short_and_long

SLOW = 120


def why_not_here() -> str | None:
    """Why there is no sandbox on this machine."""
    for program in ("bwrap", "socat"):
        if shutil.which(program) is None:
            return f"{program} is missing"
    tried = subprocess.run(
        ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"], capture_output=True, check=False
    )
    return f"bwrap does not work here: {tried.stderr.decode()}" if tried.returncode else None


WHY_NOT = why_not_here()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def sandboxed(make_agent_rig: MakeAgentRig, command: str, **config: Any) -> AgentRig:
    """The agent works in the folder in which its queue lies, as after ``init``, and runs *command* first."""

    def script(request: Request) -> Reply:
        return (
            bash(command.format(queue=rigs[0].queue(), home=rigs[0].home))
            if request.turn == 1
            else Say("all done")
        )

    rigs: list[AgentRig] = []
    rig = make_agent_rig(script, **config)
    rigs.append(rig)
    document = json.loads(rig.config.read_text())
    document["project_workspace"] = str(rig.home)
    document["defaults"]["permissions"] = "sandboxed"
    rig.config.write_text(json.dumps(document))
    rig.workspace = rig.home
    return rig


@pytest.mark.parametrize(
    "command",
    short_and_long(
        ["echo work > made; setsid sleep 1000 &"], ["echo work > made", "sleep 1000 & echo work > made"]
    ),
)
def test_it_ends_with_its_work(make_agent_rig: MakeAgentRig, command: str) -> None:
    """Whatever its last command leaves behind in the sandbox; once it has ended, nothing of that runs."""
    rig = sandboxed(make_agent_rig, command)
    rig.start()
    rig.ask("task-agent", "do it")

    result = rig.result("task-agent", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert rig.side_effects("made") == ["work"]
    assert not rig.marked()


def test_the_queue_is_out_of_its_reach(make_agent_rig: MakeAgentRig) -> None:
    """Although all of it lies in the workspace: no folder, no state, no configuration."""
    places = "{queue}/* {queue}/logs/task-a/attempt-1 {home}/.local/state/task-queue/*"
    files = "{queue}/pending/.task-a.lock {home}/.local/state/task-queue/*/*.jsonl {home}/config.json"
    writes = f"for f in {places}; do touch $f/task-new.md; done; for f in {files}; do echo forged >> $f; done"
    writes += "; cat {queue}/logs/task-a/attempt-1/* {home}/config.json"
    rig = sandboxed(make_agent_rig, f"{writes}; echo tried > made")
    rig.start()
    rig.ask("task-a", "do it")

    result = rig.result("task-a", timeout=SLOW)

    written = [path for path in rig.home.rglob("*") if _is_forged(path)]
    assert result["outcome"] == "succeeded", result
    assert rig.side_effects("made") == ["tried"]
    assert not written
    assert "ANTHROPIC" not in rig.tool_results()[0]
    assert "do it" not in rig.tool_results()[0]


def _is_forged(path: Path) -> bool:
    ours = path.name == "config.json" or path.suffix in {".lock", ".jsonl"}
    told = path.name == "transcript.jsonl" or ".claude" in path.parts  # where the command itself is told
    return path.name == "task-new.md" or (ours and not told and "forged" in path.read_text(errors="replace"))


@pytest.mark.parametrize("how", short_and_long(["cancel", "kill"], ["stop", "time-out"]))
def test_ended_in_the_middle_it_leaves_nothing(make_agent_rig: MakeAgentRig, how: str) -> None:
    """Neither bubblewrap nor what runs in it, however it was ended."""
    rig = sandboxed(make_agent_rig, "echo start >> log; trap '' TERM; while :; do sleep 1; done")
    daemon = rig.start()
    rig.ask("task-agent", "do it", max_attempts=1, **({"timeout": "20s"} if how == "time-out" else {}))
    rig.started("log")
    match how:
        case "cancel":
            rig.cli("tasks", "cancel", "task-agent", check=True)
        case "stop":
            assert rig.stop(daemon) == 0
        case "kill":
            kill(rig.run_record("task-agent")["pid"])
        case _:
            pass  # its time passes by itself

    if how != "stop":
        result = rig.result("task-agent", timeout=SLOW)
        assert result["outcome"] in {"cancelled", "timed_out", "crashed"}
    assert not rig.marked()
