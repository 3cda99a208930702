"""Ending processes, and knowing that they have ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
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


def test_of_a_tree_that_ends_exactly_one_process_is_spared_with_what_is_below_it() -> None:
    """By id and start time: who only has its number is ended."""
    env = {**os.environ, identity.MARKER_VARIABLE: "a-spared"}
    hold = "sleep 600 & echo $!; wait"
    kept, other = (
        subprocess.Popen(["/bin/sh", "-c", hold], env=env, stdout=subprocess.PIPE, start_new_session=True)
        for _ in range(2)
    )
    try:
        assert kept.stdout is not None
        below = int(kept.stdout.readline())
        spared = identity.identity_of(kept.pid)
        assert spared is not None
        assert identity.end_tree("a-spared", spared=spared) >= 1
        assert {process.pid for process in bearers("a-spared")} == {kept.pid, below}

        reused = replace(spared, pid_start_ticks=spared.pid_start_ticks + 1)
        assert identity.end_tree("a-spared", spared=reused) >= 1
        assert bearers("a-spared") == []
    finally:
        for each in (kept, other):
            each.kill()
            each.communicate()


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


_LEAVES_ONE = """
import os, subprocess, sys
from task_queue.platform import identity
looked_at = []
sys.addaudithook(lambda event, about: event == "open" and looked_at.append(str(about[0])))
if "subreaper" in sys.argv:
    identity.become_subreaper()
if "leaves one" in sys.argv:
    started = "env -u TASK_QUEUE_ATTEMPT setsid sleep 1000 < /dev/null > /dev/null 2>&1 & echo $!"
    pid = int(subprocess.run(["sh", "-c", started], stdout=subprocess.PIPE).stdout)
looked_at.clear()
ended = identity.end_tree("a-runner", root=os.getpid())
searched = any(each.startswith("/proc/") for each in looked_at)
print(ended, searched, "leaves one" in sys.argv and identity.identity_of(pid) is not None)
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (("subreaper",), "0 False False"),
        (("subreaper", "leaves one"), "1 True False"),
        ((), "0 True False"),
    ],
    ids=["nothing-left", "an-orphan-without-marker", "no-subreaper"],
)
def test_a_tree_that_the_kernel_says_to_be_empty_is_not_searched(how: tuple[str, ...], said: str) -> None:
    """What is left is found and ended also when it left its session and dropped the marker."""
    done = subprocess.run([sys.executable, "-c", _LEAVES_ONE, *how], capture_output=True, check=False)

    assert done.stdout.decode().strip() == said, done.stderr.decode()
