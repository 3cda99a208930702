"""An agent that is connected before its task is known: what it would gain and cost, and what it would not see.

The queue does not do this (``docs/decisions/connected-ahead.md``); this is how its reasons are repeated.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient

from benchmarks.agents import by_hand
from benchmarks.figures import Findings, Size, progress
from benchmarks.parts import run_alone
from task_queue.demo.scripted_model import Say, ScriptedModel, child_environment, in_turn

_ROUNDS = {Size.SHORT: 5, Size.FULL: 15}
_IDLE_S = {Size.SHORT: 20.0, Size.FULL: 60.0}
_AHEAD = "connected ahead"
_BEFORE, _AFTER = "as-it-was-when-connected", "as-it-is-when-asked"


def measure(size: Size) -> Findings:
    found = Findings("ahead", size)
    with (
        tempfile.TemporaryDirectory(prefix="tq-bench-") as folder,
        ScriptedModel(in_turn(Say("done"))) as model,
    ):
        for turn in range(_ROUNDS[size]):
            progress(f"round {turn + 1} of {_ROUNDS[size]}")
            home = Path(folder) / str(turn)
            home.mkdir()
            seconds, seen = asyncio.run(_ahead(found, home, model, 0.0 if turn else _IDLE_S[size]))
            hand, _ = by_hand(home, model)
            found.add("prompt to first question, s", _AHEAD, seconds)
            found.add("prompt to first question, s", "claude -p by hand", hand)
            found.add("prompt to first question, to by hand", _AHEAD, seconds / hand, "x")
            for what in ("instructions", "commit", "branch"):
                found.add(
                    "shares of rounds in which the agent sees a change since",
                    what,
                    f"{what}-{_AFTER}" in seen,
                )
    return found


async def _ahead(found: Findings, home: Path, model: ScriptedModel, idle_s: float) -> tuple[float, str]:
    """Seconds from the prompt to the first question; that question, as JSON."""
    workspace = home / "workspace"
    _commit(workspace, _BEFORE)
    client = ClaudeSDKClient(
        ClaudeAgentOptions(
            cwd=str(workspace),
            env=child_environment(home, model, path=os.environ["PATH"]),
            setting_sources=["project"],
            system_prompt={"type": "preset", "preset": "claude_code"},
            permission_mode="dontAsk",
        )
    )
    asked = len(model.requests)
    began = time.perf_counter()
    await client.connect()
    found.add("to connect, s", _AHEAD, time.perf_counter() - began)
    if idle_s:
        await _rest(found, idle_s)
    found.add("questions before a prompt", _AHEAD, len(model.requests) - asked)
    _commit(workspace, _AFTER)
    began = time.perf_counter()
    await client.query("say done")
    request = await asyncio.to_thread(model.wait_for_request, asked + 1)
    taken = time.perf_counter() - began
    async for _ in client.receive_response():
        pass
    await client.disconnect()
    return taken, json.dumps(request.body)


async def _rest(found: Findings, seconds: float) -> None:
    (cli,) = [each for each in psutil.Process().children() if "--output-format" in each.cmdline()]
    before = cli.cpu_times()
    await asyncio.sleep(seconds)
    spent: Any = cli.cpu_times()
    cpu = spent.user + spent.system - before.user - before.system
    found.add("idle CPU, ms per minute", _AHEAD, 1000 * cpu * 60 / seconds)
    found.add("memory of its own, MB", _AHEAD, cli.memory_full_info().uss / 2**20)


def _commit(workspace: Path, word: str) -> None:
    workspace.mkdir(exist_ok=True)
    (workspace / "CLAUDE.md").write_text(f"instructions-{word}\n")
    identity = ("-c", "user.name=Person", "-c", "user.email=person@example.org")
    for words in (
        ("init", "-q"),
        ("checkout", "-q", "-b", f"branch-{word}"),
        ("add", "."),
        (*identity, "commit", "-q", "-m", f"commit-{word}"),
    ):
        subprocess.run(["git", *words], cwd=workspace, check=True, capture_output=True)


if __name__ == "__main__":
    run_alone("ahead")
