"""A disk that takes nothing more: status, doctor and the log say why, and the work goes on by itself after that."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.disks import memory_disk
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")

UNTIL_TOLD = "echo start >> log; until [ -e go ]; do sleep 0.05; done; echo end >> log"


def emptied(rig: Rig) -> Path:
    queue = rig.queue()
    shutil.rmtree(queue)
    queue.mkdir(mode=0o700)
    return queue


def _fill_with_files(folder: Path) -> None:
    for number in range(1000):
        (folder / str(number)).touch()


def says(rig: Rig, words: str) -> None:
    """In each place where a person looks."""
    eventually(lambda: words in str(rig.state().get("sources")), what=f"the daemon says: {words}")
    status = rig.cli("status")
    assert words in status.stdout
    assert status.returncode == 3, "it needs attention"
    assert words in rig.cli("doctor").stdout
    eventually(lambda: words in rig.daemon_log(), what=f"the log says: {words}")


@pytest.mark.long
def test_no_inodes_left_while_a_task_runs(make_rig: MakeRig) -> None:
    """There is room enough; the ending cannot be written for want of a file. Nothing runs twice."""
    rig = make_rig(limits={"min_free_mb": 0})
    with memory_disk(emptied(rig), "size=16m,nr_inodes=200"):
        rig.pending().mkdir(mode=0o700)
        rig.start()
        rig.drop_command("task-a", UNTIL_TOLD)
        rig.started("log")
        ballast = rig.queue() / "ballast"
        ballast.mkdir()
        with pytest.raises(OSError, match="No space left"):
            _fill_with_files(ballast)
        (rig.workspace / "go").touch()
        says(rig, "no inodes are left")
        assert not (rig.queue() / "results/task-a.json").exists()
        attempt = rig.queue() / "logs/task-a/attempt-1"
        eventually(
            lambda: "the ending is not written yet" in (attempt / "runner.log").read_text(),
            what="the runner says so",
        )

        shutil.rmtree(ballast)
        assert rig.result("task-a", timeout=60)["success"]
        assert rig.side_effects("log") == ["start", "end"]
        eventually(lambda: rig.cli("status").returncode == 0, what="all is well")


def test_a_read_only_disk(make_rig: MakeRig) -> None:
    rig = make_rig(limits={"min_free_mb": 0}, sweep_seconds=1)
    with memory_disk(emptied(rig), "size=16m"):
        rig.pending().mkdir(mode=0o700)
        rig.drop_command("task-a", "echo done >> log")
        subprocess.run(["mount", "-o", "remount,ro", str(rig.queue())], check=True)
        rig.start()
        says(rig, "is read-only")

        subprocess.run(["mount", "-o", "remount,rw", str(rig.queue())], check=True)
        assert rig.result("task-a", timeout=60)["success"]
        assert rig.side_effects("log") == ["done"]
