"""Tools that do not want to end: after a cancel, a time-out and the memory limit nothing of them is left."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path

import pytest

from task_queue.demo.scripted_model import (
    Say,
    ScriptedModel,
    UseTool,
    child_environment,
    in_turn,
)
from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.waiting import eventually

STUBBORN = '''\
"""Ignores TERM, double-forks into a session of its own, and holds a terminal; each says that it lives."""
import os, pty, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)

def live(name):
    with open("alive", "a") as file:
        file.write(name + "\\n")
    ballast = bytearray(int(sys.argv[1]) * 2**20)
    for at in range(0, len(ballast), 4096):
        ballast[at] = 1
    while True:
        time.sleep(60)

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        live("double fork")
    os._exit(0)
pid, terminal = pty.fork()
if pid == 0:
    live("terminal")
live("first")
'''
KINDS = {"first", "double fork", "terminal"}


@pytest.fixture
def stubborn(tmp_path: Path) -> str:
    """The command that starts the program; its argument is how many MB each process takes."""
    program = tmp_path / "stubborn.py"
    program.write_text(STUBBORN)
    return shlex.join([sys.executable, "-S", str(program)])


def alive(rig: Rig) -> None:
    eventually(lambda: set(rig.side_effects("alive")) == KINDS, what=f"all live; {rig.errors()}")


def test_a_cancel_leaves_nothing(rig: Rig, stubborn: str) -> None:
    rig.start()
    rig.drop_command("task-stubborn", f"{stubborn} 0")
    alive(rig)
    assert len(rig.marked()) >= len(KINDS)

    rig.cli("tasks", "cancel", "task-stubborn", check=True)

    assert rig.result("task-stubborn", timeout=60)["outcome"] == "cancelled"
    assert not rig.marked()


@pytest.mark.long
def test_a_time_out_leaves_nothing(rig: Rig, stubborn: str) -> None:
    rig.start()
    rig.drop_command("task-stubborn", f"{stubborn} 0", timeout="6s", max_attempts=1)
    alive(rig)

    assert rig.result("task-stubborn", timeout=60)["outcome"] == "timed_out"
    assert not rig.marked()


def test_a_stop_leaves_nothing(rig: Rig, stubborn: str) -> None:
    daemon = rig.start()
    rig.drop_command("task-stubborn", f"{stubborn} 0")
    alive(rig)

    assert rig.stop(daemon) == 0
    assert not rig.marked()


@pytest.mark.long
def test_a_stop_before_the_running_task_was_taken_over_leaves_nothing(rig: Rig, stubborn: str) -> None:
    """The daemon that had started it was killed; its successor is stopped at once."""
    killed = rig.start()
    rig.drop_command("task-stubborn", f"{stubborn} 0")
    alive(rig)
    rig.stop(killed, signal.SIGKILL)

    assert rig.stop(rig.start()) == 0
    assert not rig.marked()


@pytest.mark.long
def test_a_stop_leaves_nothing_of_a_source_that_cannot_be_used(rig: Rig, stubborn: str) -> None:
    """Its successor cannot take it over; once the source is well, the task has ended as interrupted."""
    killed = rig.start()
    rig.drop_command("task-stubborn", f"{stubborn} 0")
    alive(rig)
    rig.stop(killed, signal.SIGKILL)
    reports = rig.queue() / "reports"
    reports.rmdir()
    reports.touch()
    successor = rig.start()
    eventually(lambda: rig.state()["sources"]["a"]["state"] == "unavailable", what="it cannot be used")

    assert rig.stop(successor) == 0
    assert not rig.marked()
    reports.unlink()
    rig.start()
    assert rig.result("task-stubborn")["outcome"] == "interrupted"


def test_the_memory_limit_leaves_nothing(make_rig: MakeRig, stubborn: str) -> None:
    """All processes of the attempt count together, and the figure is the evidence."""
    rig = make_rig(limits={"memory_mb": 150})
    rig.start()
    rig.drop_command("task-greedy", f"{stubborn} 80", max_attempts=1)

    result = rig.result("task-greedy", timeout=60)

    assert result["outcome"] == "crashed"
    assert any("limit 150 MB" in fact for fact in result["evidence"]), result["evidence"]
    assert not rig.marked()


def test_memory_below_the_limit_is_left_alone(make_rig: MakeRig) -> None:
    rig = make_rig(limits={"memory_mb": 300})
    rig.start()
    program = "import time; ballast = b'1' * 40_000_000; time.sleep(2.5)"
    rig.drop_command("task-modest", f"{sys.executable} -c {shlex.quote(program)}")

    assert rig.result("task-modest")["outcome"] == "succeeded"


@pytest.mark.long
@pytest.mark.parametrize("how", ["cancel", "timeout", "memory"])
def test_a_tool_of_the_agent_leaves_nothing(
    make_rig: MakeRig, tmp_path: Path, stubborn: str, how: str
) -> None:
    """The real CLI and its Bash, which starts every command in a session of its own."""
    command = f"{stubborn} {400 if how == 'memory' else 0}"
    script = in_turn(UseTool("Bash", {"command": command, "timeout": 120_000}), Say("done"))
    with ScriptedModel(script) as model:
        environment = child_environment(tmp_path / "home-0", model)  # the home that the rig will have
        rig = make_rig(limits={"memory_mb": 1000}, agent={"env": environment})
        rig.start()
        keys = {"cancel": "", "timeout": "timeout: 15s\n", "memory": ""}[how]
        rig.drop("task-agent", f"---\nmax_attempts: 1\n{keys}---\n# Do it\n")
        if how != "memory":
            alive(rig)
        if how == "cancel":
            rig.cli("tasks", "cancel", "task-agent", check=True)

        result = rig.result("task-agent", timeout=90)

    expected = {"cancel": "cancelled", "timeout": "timed_out", "memory": "crashed"}[how]
    assert result["outcome"] == expected, result
    assert not rig.marked()
