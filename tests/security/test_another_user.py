"""The daemon and its agents as one user without privileges, an attacker as another; root only can show it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import WORK, AgentRig, bash
from tests.users import as_user, why_no_other_users
from tests.warm import PROGRAM

OWNER, ATTACKER = 65533, 65534
ATTACK = Path(__file__).with_name("attack_of_another_user.py")


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")


@pytest.fixture
def rig() -> Iterator[AgentRig]:
    """Of OWNER, in a home that is open to all, under the usual umask."""
    why_not = why_no_other_users(OWNER)
    if why_not is not None:
        pytest.skip(why_not)

    def script(request: Request) -> Reply:
        return bash(WORK) if request.turn == 1 else Say("all done")

    before = os.umask(0o022)
    with TemporaryDirectory(prefix="tq-") as folder:
        Path(folder).chmod(0o755)
        rig = AgentRig(Path(folder) / "home", script)
        (rig.home / "daemon.err").touch(mode=0o600)  # the rig's own
        for path in (rig.home, *rig.home.rglob("*")):
            os.chown(path, OWNER, OWNER)
        yield rig
        rig.close()
    os.umask(before)


def gained(rig: AgentRig, pid: int) -> list[str]:
    """What ATTACKER can read, write or do of the owner's, but for the workspace."""
    done = subprocess.run(
        as_user(ATTACKER, sys.executable, "-I", str(ATTACK), str(rig.home), str(rig.workspace), str(pid)),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def add(rig: AgentRig, text: str, **variables: str) -> Any:
    return subprocess.run(
        as_user(
            OWNER,
            *PROGRAM,
            "--config",
            str(rig.config),
            "tasks",
            "add",
            "--source",
            "a",
            "--name",
            "task-a",
            "-",
        ),
        env={**rig.environment, **variables},
        cwd=rig.home,
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )


def test_another_user_gains_nothing_while_an_agent_works_and_after(rig: AgentRig) -> None:
    """Nothing is read, written, put beside, connected to, signalled or looked into."""
    daemon = rig.start(program=as_user(OWNER, *PROGRAM))
    added = add(rig, "do it")
    assert added.returncode == 0, added.stderr
    rig.started("log")
    (task_id,) = [path.name for path in (rig.queue() / "logs").iterdir()]
    meanwhile = gained(rig, rig.run_record(task_id)["pid"])
    (rig.workspace / "go").touch()

    result = rig.result(task_id, timeout=120)

    assert result["outcome"] == "succeeded", result
    assert meanwhile == []
    assert gained(rig, daemon.pid) == []


def test_folders_of_another_user_are_not_used_by_an_owner_without_privileges(rig: AgentRig) -> None:
    """As another user makes them first, where a variable leads to a folder that all share."""
    shared = rig.home.parent / "shared"
    (shared / "task-queue").mkdir(parents=True)
    shared.chmod(0o1777)
    os.chown(shared / "task-queue", ATTACKER, ATTACKER)

    for variable in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
        refused = add(rig, "do it", **{variable: str(shared)})

        assert refused.returncode == 1
        assert f"{shared}/task-queue" in refused.stderr
        assert f"belongs to another user (uid {ATTACKER})" in refused.stderr
        assert list(rig.pending().glob("task-*")) == []
