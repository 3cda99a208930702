"""A process that a signal, a debugger or its cgroup holds still cannot end in good order: it is not waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from task_queue.demo.scripted_model import in_turn
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.waiting import eventually

AT_ONCE_S = 15.0
"""Far below the 60 s that a runner has to end its agent, and the grace of the rigs here."""
WAITS = "echo begun >> log; exec sleep 600"
DEBUGGER = """
import ctypes, os, sys
pid = int(sys.argv[1])
assert ctypes.CDLL(None, use_errno=True).ptrace(16, pid, None, None) == 0, os.strerror(ctypes.get_errno())
while not os.WIFSIGNALED(os.waitpid(pid, 0x40000000)[1]):
    pass
"""
"""Attaches itself to a process and lets it do nothing more."""


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def held(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: state_of(pid) == "T", what="it is stopped")


@pytest.fixture
def patient(make_rig: MakeRig) -> Rig:
    rig = make_rig(stop_grace_seconds=100)
    rig.start()
    rig.drop_command("task-a", WAITS, max_attempts=1)
    rig.started("log")
    return rig


def cancelled_at_once(rig: Rig) -> None:
    begun = time.monotonic()
    rig.cli("tasks", "cancel", "task-a", check=True)
    assert rig.result("task-a")["outcome"] == "cancelled"
    assert time.monotonic() - begun < AT_ONCE_S
    assert not rig.marked()


def test_a_stopped_runner_is_cancelled_at_once(patient: Rig) -> None:
    held(patient.run_record("task-a")["pid"])
    cancelled_at_once(patient)


@pytest.mark.long
def test_a_request_without_a_command_ends_a_stopped_runner(patient: Rig) -> None:
    """The daemon finds the file by itself; the runner cannot handle its signal."""
    runner = patient.run_record("task-a")["pid"]
    held(runner)
    (patient.pending() / ".task-a.cancel").touch()
    assert patient.result("task-a", timeout=AT_ONCE_S)["outcome"] == "cancelled"


@pytest.mark.long
def test_a_runner_in_a_debugger_is_cancelled_at_once(patient: Rig) -> None:
    runner = patient.run_record("task-a")["pid"]
    debugger = subprocess.Popen([sys.executable, "-c", DEBUGGER, str(runner)], stderr=subprocess.PIPE)
    try:
        eventually(lambda: state_of(runner) == "t" or debugger.poll() is not None, what="it is traced")
        if debugger.poll() is not None:
            pytest.skip("no process may be traced here")
        cancelled_at_once(patient)
    finally:
        debugger.kill()
        debugger.communicate()


def test_a_stopped_runner_does_not_hold_up_the_daemons_stop(patient: Rig) -> None:
    held(patient.run_record("task-a")["pid"])
    begun = time.monotonic()
    assert patient.stop(patient.daemons[-1]) == 0
    assert time.monotonic() - begun < AT_ONCE_S
    assert not patient.marked()


def test_a_program_that_stops_itself_is_killed_at_once(rig: Rig) -> None:
    rig.start()
    rig.drop_command("task-a", "echo begun >> log; kill -STOP $$", max_attempts=1)
    rig.started("log")
    (shell,) = [
        pid for pid in rig.marked() if b"-s" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]
    eventually(lambda: state_of(shell) == "T", what="it is stopped")
    begun = time.monotonic()
    rig.cli("tasks", "cancel", "task-a", check=True)
    assert rig.result("task-a")["outcome"] == "cancelled"
    assert time.monotonic() - begun < 4, "less than the grace after a TERM"


def test_a_stopped_cli_is_not_asked_to_interrupt(tmp_path: Path) -> None:
    rig = AgentRig(tmp_path / "home", in_turn(bash("echo begun >> log; sleep 600")))
    try:
        rig.start()
        rig.ask("task-a", "Begin.")
        rig.started("log")
        held(rig.cli_of(rig.run_record("task-a")["pid"]))
        cancelled_at_once(rig)
    finally:
        rig.close()


def test_a_stopped_daemon_is_named_and_not_waited_for(rig: Rig) -> None:
    daemon = rig.start()
    held(daemon.pid)
    try:
        assert f"kill -CONT {daemon.pid}" in rig.cli("status").stdout
        begun = time.monotonic()
        assert rig.cli("stop").returncode
        assert time.monotonic() - begun < AT_ONCE_S
    finally:
        daemon.send_signal(signal.SIGCONT)
