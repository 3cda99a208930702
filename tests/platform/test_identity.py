"""Ending processes, and knowing that they have ended."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from task_queue.platform import identity
from task_queue.platform.identity import bearers, end_tree, kill_group

_HOLDS_MUCH = "held = bytearray(b'x') * (300 << 20); print('holds', flush=True); input()"


def test_a_killed_group_is_waited_for_until_nobody_of_it_runs() -> None:
    """The kernel takes its time to end a process that holds much memory; its leader may be gone long before."""
    leader = subprocess.Popen(
        ["/bin/sh", "-c", f'{sys.executable} -c "{_HOLDS_MUCH}" & echo started; wait'],
        env={"TASK_QUEUE_ATTEMPT": "a-group"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert leader.stdout is not None
        said = {leader.stdout.readline(), leader.stdout.readline()}
        assert said == {b"started\n", b"holds\n"}
    finally:
        kill_group(leader.pid)

    assert bearers("a-group") == []
    leader.communicate()


def test_a_process_between_two_programs_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the kernel replaces the program, neither environment nor arguments show."""
    stranger = tmp_path / "4000000"
    stranger.mkdir()
    (stranger / "stat").write_text("4000000 (sh) R 1 1 1 0 -1 4194304 " + " ".join("0" * 12) + " 77 0\n")
    (stranger / "cmdline").write_text("")
    (stranger / "environ").write_text("")
    monkeypatch.setattr(identity, "boot_id", lambda: "a-boot")
    monkeypatch.setattr(identity, "pid_namespace", lambda: "a-namespace")
    monkeypatch.setattr(identity, "_PROC", tmp_path)

    def is_given_its_program(_: float) -> None:
        (stranger / "environ").write_bytes(b"HOME=/\0TASK_QUEUE_ATTEMPT=mine\0")
        (stranger / "cmdline").write_bytes(b"sleep\x001000\0")

    monkeypatch.setattr(time, "sleep", is_given_its_program)

    assert [process.pid for process in bearers("mine")] == [4000000]
    assert bearers("another") == []


def test_git_gets_time_to_remove_its_locks(tmp_path: Path) -> None:
    """Where everything is killed at once: left behind, they would keep every later git from working."""
    marked = {"TASK_QUEUE_ATTEMPT": "a-sweep", "PATH": "/usr/bin:/bin"}
    running: list[subprocess.Popen[bytes]] = []
    for name in ("git", "agent"):
        program = tmp_path / name
        program.write_text(
            f"#!/bin/sh\ntrap 'rm {tmp_path}/{name}.lock; exit' TERM\necho > {tmp_path}/{name}.lock\necho\n"
            "while :; do sleep 0.05; done\n"
        )
        program.chmod(0o700)
        running.append(subprocess.Popen([program], env=marked, stdout=subprocess.PIPE))
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()

    end_tree("a-sweep", grace_s=0, git_grace_s=60)

    assert {path.name for path in tmp_path.glob("*.lock")} == {"agent.lock"}
    for process in running:
        process.communicate()
