"""A container that shares the folder: process ids count anew there, so no id of the other side says who lives."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from task_queue.platform.lockfile import FileLock, is_held
from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.processes import kill
from tests.waiting import eventually
from tests.warm import PROGRAM

CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
WAITS = "echo begun >> log; until [ -e go ]; do sleep 0.05; done; echo done >> log"


def needs_namespaces() -> None:
    if subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode:
        pytest.skip("PID namespaces are not allowed here")


@pytest.fixture
def shared(make_rig: MakeRig) -> Iterator[Rig]:
    needs_namespaces()
    rig = make_rig()
    yield rig
    for daemon in rig.daemons:  # a container heeds no TERM
        daemon.kill()
        daemon.wait()


def container(rig: Rig) -> subprocess.Popen[str]:
    """A daemon whose PID namespace lives on when the daemon is killed, as a container with an init does."""
    with (rig.home / "daemon.err").open("a") as errors:
        argv = [*CONTAINER, "sh", "-c", '"$@"; exec sleep 1000', "sh"]
        unshared = subprocess.Popen(
            [*argv, *PROGRAM, "--config", str(rig.config), "daemon"],
            env=rig.environment,
            cwd=rig.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    rig.daemons.append(unshared)
    return unshared


def killed(rig: Rig) -> None:
    """The daemon of this namespace, at once; what it runs goes on."""
    daemon = rig.daemons[-1]
    daemon.kill()
    daemon.wait()


def test_a_container_does_not_take_a_living_runner_for_dead(shared: Rig) -> None:
    rig = shared
    rig.start()
    rig.drop_command("task-a", WAITS)
    rig.started("log")
    killed(rig)

    container(rig)
    eventually(
        lambda: "another PID namespace" in str(rig.state().get("sources")), what=f"it says so; {rig.errors()}"
    )
    status = rig.cli("status").stdout
    assert "another PID namespace" in status
    cancel = subprocess.Popen(
        [*PROGRAM, "--config", str(rig.config), "tasks", "cancel", "task-a"],
        env=rig.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    eventually((rig.pending() / ".task-a.cancel").exists, what="it is asked for")
    assert not (rig.queue() / "results/task-a.json").exists()
    assert len(rig.marked()) >= 1, "nothing was signalled"

    (rig.workspace / "go").touch()
    rig.result("task-a", timeout=40)
    assert rig.side_effects("log") == ["begun", "done"]
    assert "completed: task-a" in cancel.communicate(timeout=60)[0]


def test_a_runner_of_a_container_is_taken_over_from_outside(shared: Rig) -> None:
    rig = shared
    inside = container(rig)
    rig.drop_command("task-a", WAITS)
    rig.started("log")
    daemon_inside = daemon_below(inside.pid)
    assert rig.json("status")["daemon"]["running"], "seen from outside, by its lock"
    assert rig.json("tasks", "show", "task-a")["running"]["runner"] == "elsewhere"
    kill(daemon_inside)
    eventually(lambda: not rig.json("status")["daemon"]["running"], what="its lock is free")

    rig.start()
    rig.cli("tasks", "cancel", "task-a", check=True)

    assert rig.result("task-a")["outcome"] == "cancelled"
    assert rig.side_effects("log") == ["begun"]
    assert not rig.marked()


def daemon_below(unshared: int) -> int:
    """The process id, as it counts here, of the daemon that ``container`` started."""

    def children(pid: int) -> list[int]:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    (init,) = children(unshared)
    (daemon,) = [pid for pid in children(init) if b"task_queue" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return daemon


def test_a_runner_out_of_sight_without_its_lock_waits_for_a_person(shared: Rig) -> None:
    """Then nothing shows whether it lives; the hint's command is the way on."""
    rig = shared
    rig.start()
    rig.drop_command("task-a", WAITS)
    rig.started("log")
    killed(rig)
    alive = rig.queue() / "logs/task-a/attempt-1/runner.lock"
    assert is_held(alive)
    alive.unlink()

    container(rig)
    eventually(lambda: f"touch {alive}" in rig.cli("status").stdout, what=f"the way on; {rig.errors()}")
    assert rig.cli("status").returncode == 3
    assert not (rig.queue() / "results/task-a.json").exists()

    (rig.workspace / "go").touch()
    eventually(lambda: not rig.marked(), what="the runner has ended")
    rig.result("task-a", timeout=40)
    assert rig.side_effects("log") == ["begun", "done"]


def test_a_foreign_proc_is_refused(shared: Rig) -> None:
    done = subprocess.run(
        ["unshare", "--pid", "--fork", *PROGRAM, "--config", str(shared.config), "daemon"],
        env=shared.environment,
        cwd=shared.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode
    assert "/proc shows the processes of another PID namespace" in done.stderr


def test_nothing_that_an_agent_leaves_keeps_its_runners_lock(rig: Rig) -> None:
    """The runner dies of a KILL; a child of its command lives on and holds no lock."""
    rig.start()
    rig.drop_command("task-a", WAITS, max_attempts=1)
    rig.started("log")
    runner = rig.run_record("task-a")["pid"]
    alive = rig.queue() / "logs/task-a/attempt-1/runner.lock"
    killed(rig)
    assert len(rig.marked()) >= 2
    kill(runner)
    assert rig.marked(), "its command lives"
    eventually(lambda: is_held(alive) is False, what="the lock is free")


def test_who_asks_holds_nothing(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert is_held(tmp_path / "lock") is None
    assert lock.acquire("me")
    assert is_held(tmp_path / "lock") is True
    lock.release()
    assert is_held(tmp_path / "lock") is False
    assert lock.acquire("me")
