"""``agent.prewarm``: the auditor is connected while the verification runs in its sandbox; with the real SDK and CLI."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from task_queue.agents.claude.session import CONNECTED_AHEAD
from task_queue.demo.scripted_model import Reply, Request, Say
from task_queue.platform.identity import identity_of
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, a_repository, audited, audits, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.test_sandbox import WHY_NOT
from tests.processes import look
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

PACE = "touch began; while [ ! -e $HOME/go ]; do sleep 0.05; done"
"""A verification that takes until the test lets it end; it cannot write outside of its checkout."""


def script(request: Request) -> Reply:
    if audits(request):
        return verdict("pass") if request.turn == 1 else Say("done")
    return bash("echo work > work.txt") if request.turn == 1 else Say("done")


def a_rig(
    make_agent_rig: MakeAgentRig, *verify: str, prewarm: bool = True, permissions: str = "sandboxed"
) -> AgentRig:
    settings: dict[str, Any] = {"isolation": "worktree", "landing": "merge", "max_iterations": 1}
    config = audited(**settings, permissions=permissions)
    config["defaults"]["verify"] = list(verify)
    rig = make_agent_rig(script, agent={"prewarm": prewarm}, **config)
    a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    return rig


def verifies(rig: AgentRig) -> Path:
    """The verification runs; its checkout."""
    worktrees = rig.home / ".local/share/task-queue/worktrees"

    def found() -> Path | None:
        # Folders come and go meanwhile, which os.walk passes over.
        return next((Path(folder) for folder, _, files in os.walk(worktrees) if "began" in files), None)

    place = eventually(found, what="the verification runs", timeout=SLOW)
    assert place is not None
    return place


def clis(rig: AgentRig) -> list[int]:
    return [pid for pid in rig.marked() if b"--output-format" in look(pid, "cmdline")]


def of_auditor(rig: AgentRig) -> list[Request]:
    return [request for request in rig.model.requests if audits(request)]


def transcript(rig: AgentRig) -> str:
    return "".join(path.read_text() for path in rig.home.rglob("transcript.jsonl"))


def test_the_session_that_was_connected_meanwhile_is_the_one_that_audits(
    make_agent_rig: MakeAgentRig,
) -> None:
    """Its process is the one of before the verification's end; until then it asked nothing and counts as nothing."""
    rig = a_rig(make_agent_rig, PACE)
    verifies(rig)
    (cli,) = eventually(lambda: clis(rig), what="the auditor's CLI is there", timeout=SLOW) or []
    before = identity_of(cli)
    asked = len(rig.model.requests)
    words = look(cli, "cmdline").split(b"\0")
    named = next(word for word in words if word.startswith(b"--session-id=")).decode().partition("=")[2]
    assert of_auditor(rig) == []
    assert named not in transcript(rig)

    (rig.home / "go").touch()
    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert before is not None
    assert len(of_auditor(rig)) == len(rig.model.requests) - asked
    assert named in transcript(rig)
    assert CONNECTED_AHEAD in transcript(rig)
    assert rig.marked() == []
    assert not list((rig.home / ".local/share/task-queue/worktrees").glob("*/*/*.audit"))


def test_a_verification_that_fails_leaves_no_auditor(make_agent_rig: MakeAgentRig) -> None:
    rig = a_rig(make_agent_rig, f"{PACE}; false")
    verifies(rig)
    eventually(lambda: clis(rig), what="the auditor's CLI is there", timeout=SLOW)

    (rig.home / "go").touch()
    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "verify_failed", result
    assert of_auditor(rig) == []
    assert rig.marked() == []
    assert CONNECTED_AHEAD not in transcript(rig)


def test_a_cancel_meanwhile_leaves_no_auditor(make_agent_rig: MakeAgentRig) -> None:
    rig = a_rig(make_agent_rig, PACE)
    verifies(rig)
    eventually(lambda: clis(rig), what="the auditor's CLI is there", timeout=SLOW)

    rig.cli("tasks", "cancel", "task-a", check=True)

    assert rig.result("task-a", timeout=SLOW)["outcome"] == "cancelled"
    assert of_auditor(rig) == []
    assert rig.marked() == []


def test_a_runner_that_is_killed_meanwhile_takes_it_along(make_agent_rig: MakeAgentRig) -> None:
    """And the task goes on at its verification, with an auditor of the next attempt."""
    rig = a_rig(make_agent_rig, PACE)
    verifies(rig)
    (first,) = eventually(lambda: clis(rig), what="the auditor's CLI is there", timeout=SLOW) or []
    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
    eventually(lambda: identity_of(first) is None, what="it has gone with its runner", timeout=SLOW)

    (rig.home / "go").touch()
    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert len([request for request in of_auditor(rig) if request.turn == 1]) == 1
    assert rig.marked() == []


def test_one_that_died_meanwhile_is_replaced_in_the_ordinary_way(make_agent_rig: MakeAgentRig) -> None:
    rig = a_rig(make_agent_rig, PACE)
    verifies(rig)
    (cli,) = eventually(lambda: clis(rig), what="the auditor's CLI is there", timeout=SLOW) or []
    os.kill(cli, signal.SIGKILL)

    (rig.home / "go").touch()
    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert len([request for request in of_auditor(rig) if request.turn == 1]) == 1
    assert CONNECTED_AHEAD not in transcript(rig)


@pytest.mark.parametrize(
    ("prewarm", "permissions"), [(False, "sandboxed"), (True, "guarded")], ids=["off", "not confined"]
)
def test_otherwise_there_is_no_agent_while_the_verification_runs(
    make_agent_rig: MakeAgentRig, *, prewarm: bool, permissions: str
) -> None:
    """Outside of a sandbox what the implementer wrote could write to its auditor."""
    sees = "! find $HOME/.local/share/task-queue/worktrees -maxdepth 3 -name '*.audit' | grep ."
    rig = a_rig(make_agent_rig, f"{sees} && {PACE}", prewarm=prewarm, permissions=permissions)
    verifies(rig)
    seen = clis(rig)

    (rig.home / "go").touch()

    assert rig.result("task-a", timeout=SLOW)["outcome"] == "succeeded"
    assert seen == []
    assert CONNECTED_AHEAD not in transcript(rig)


def test_what_the_implementer_wrote_reaches_neither_the_auditor_nor_its_checkout(
    make_agent_rig: MakeAgentRig,
) -> None:
    """It looks for both while both are there, and writes to what it finds; and a process that it hides is ended."""
    looks = (
        "for place in $HOME/.local/share/task-queue/worktrees/*/*/*.audit; do"
        " test ! -e $place/.git || echo seen >> found; echo evil > $place/evil.txt; echo evil > $place/work.txt; done;"
        " for args in /proc/[0-9]*/cmdline; do tr '\\0' '\\n' < $args | grep -x -e --output-format >> found; done"
    )
    rig = a_rig(
        make_agent_rig,
        f"touch began; (setsid sleep 600 &); while [ ! -e $HOME/go ]; do {looks}; echo looked >> looks; done;"
        " test ! -s found",
    )
    place = verifies(rig)
    eventually(lambda: clis(rig), what="the auditor's CLI is there", timeout=SLOW)
    (audit,) = (rig.home / ".local/share/task-queue/worktrees").glob("*/*/*.audit")
    looked = len((place / "looks").read_text()) if (place / "looks").exists() else 0
    eventually(
        lambda: (place / "looks").exists() and len((place / "looks").read_text()) > looked + 20,
        what="it has looked since",
        timeout=SLOW,
    )
    assert (audit / "work.txt").read_text() == "work\n"
    assert not (audit / "evil.txt").exists()
    assert not (place / "found").read_text()

    (rig.home / "go").touch()
    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert CONNECTED_AHEAD in transcript(rig)
    assert rig.marked() == []
