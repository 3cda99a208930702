"""An agent by the queue against the same agent by hand, in turns: its first question, a whole task, an audited one.

The CLI is the real one; only the model behind it is scripted, so that what is left is the queue's own share.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import claude_agent_sdk

from benchmarks.figures import Findings, Size, progress
from benchmarks.goals import QUEUE
from benchmarks.parts import run_alone
from task_queue.demo.scripted_model import Reply, Request, Say, ScriptedModel, UseTool, child_environment
from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import a_repository, audited, audits, git, verdict

_ROUNDS = {Size.SHORT: 5, Size.FULL: 15}
_TURNS = 4
BY_HAND = "claude -p by hand"
FIRST, WHOLE = "drop to first question", f"whole task of {_TURNS} turns"
AUDITED = "audited, worktree, merge"
_VERIFICATION_S = 3
PREWARMED = f"audited in a sandbox, verification of {_VERIFICATION_S} s"


def measure(size: Size) -> Findings:
    found = Findings("agents", size)
    _single(found, _ROUNDS[size])
    _audited(found, _ROUNDS[size])
    _prewarmed(found, _ROUNDS[size])
    return found


def _reply(request: Request) -> Reply:
    """Both agents: an auditor passes what there is; an implementer appends a line in each turn but the last."""
    if audits(request):
        return verdict("pass") if request.turn == 1 else Say("done")
    if request.turn < _TURNS:
        return UseTool("Bash", {"command": f"echo {request.turn} >> work.txt"})
    return Say("done")


def _single(found: Findings, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="tq-bench-") as folder:
        rig = AgentRig(Path(folder) / "home", _reply)
        hand = Path(folder) / "hand"
        hand.mkdir()
        try:
            rig.start()
            for number in range(-1, rounds):  # the first one warms both up
                progress(f"single, round {number + 1} of {rounds}")
                first, whole = _by_queue(rig, f"task-{number + 1}")
                hand_first, hand_whole = by_hand(hand, rig.model)
                if number < 0:
                    continue
                _add(found, FIRST, first, hand_first)
                _add(found, WHOLE, whole, hand_whole)
        finally:
            rig.close()


def _audited(found: Findings, rounds: int) -> None:
    """Beside it, what its two agents take by hand, one after the other."""
    with tempfile.TemporaryDirectory(prefix="tq-bench-") as folder:
        rig = AgentRig(Path(folder) / "home", _reply, **audited(isolation="worktree", landing="merge"))
        hand = Path(folder) / "hand"
        hand.mkdir()
        try:
            repository = a_repository(rig)
            rig.start()
            for number in range(-1, rounds):
                progress(f"audited, round {number + 1} of {rounds}")
                _, whole = _by_queue(rig, f"task-{number + 1}")
                assert git(repository, "log", "--oneline").count("\n") >= number + 1
                both = sum(by_hand(hand, rig.model)[1] for _ in range(2))
                if number >= 0:
                    found.add(f"{AUDITED}, s", QUEUE, whole)
                    found.add(f"{AUDITED}, s", "both agents by hand", both)
                    found.add(f"{AUDITED}: above both agents, s", QUEUE, whole - both)
        finally:
            rig.close()


def _prewarmed(found: Findings, rounds: int) -> None:
    """A sandboxed task whose auditor is connected while its verification runs, against one whose auditor is not."""
    config = audited(isolation="worktree", landing="merge", permissions="sandboxed")
    config["defaults"]["verify"] = [f"sleep {_VERIFICATION_S}"]
    with tempfile.TemporaryDirectory(prefix="tq-bench-") as folder:
        rigs = [
            AgentRig(Path(folder) / str(prewarm), _reply, agent={"prewarm": prewarm}, **config)
            for prewarm in (True, False)
        ]
        try:
            for rig in rigs:
                a_repository(rig)
                rig.start()
            for number in range(-1, rounds):
                progress(f"prewarmed, round {number + 1} of {rounds}")
                turns = rigs if number % 2 else rigs[::-1]
                seconds = {rig.home.name: _by_queue(rig, f"task-{number + 1}")[1] for rig in turns}
                if number >= 0:
                    found.add(f"{PREWARMED}, s", "agent.prewarm", seconds["True"])
                    found.add(f"{PREWARMED}, s", "without", seconds["False"])
                    found.add(
                        f"{PREWARMED}, to without", "agent.prewarm", seconds["True"] / seconds["False"], "x"
                    )
        finally:
            for rig in rigs:
                rig.close()


def _add(found: Findings, measure: str, queue_s: float, hand_s: float) -> None:
    found.add(f"{measure}, s", QUEUE, queue_s)
    found.add(f"{measure}, s", BY_HAND, hand_s)
    found.add(f"{measure}, to by hand", QUEUE, queue_s / hand_s, "x")


def _by_queue(rig: AgentRig, name: str) -> tuple[float, float]:
    """Seconds from the drop to the first question, and to the result."""
    asked = len(rig.model.requests)
    began = time.perf_counter()
    rig.ask(name, "# Append lines")
    rig.model.wait_for_request(asked + 1)
    first = time.perf_counter() - began
    result = rig.result(name, timeout=120)
    whole = time.perf_counter() - began
    assert result["outcome"] == "succeeded", result
    return first, whole


def by_hand(home: Path, model: ScriptedModel) -> tuple[float, float]:
    """As ``_by_queue``, of ``claude -p`` in *home*."""
    asked = len(model.requests)
    cli = Path(claude_agent_sdk.__file__).with_name("_bundled") / "claude"
    began = time.perf_counter()
    agent = subprocess.Popen(
        [str(cli), "-p", "Append lines", "--allowedTools", "Bash"],
        env=child_environment(home, model, path=os.environ["PATH"]),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        model.wait_for_request(asked + 1)
        first = time.perf_counter() - began
        agent.wait(120)
        return first, time.perf_counter() - began
    finally:
        agent.kill()


if __name__ == "__main__":
    run_alone("agents")
