"""What no event tells of is found by the sweep: with the real daemon, in which events are missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.acceptance.conftest import MakeRig
from tests.waiting import eventually
from tests.warm import PROGRAM

HEARS_NOTHING = """
from task_queue.daemon import watcher
from task_queue.cli import main
watcher._SourceWatch.on_event = watcher._SourceWatch._is_worth_a_look  # its own probe is heard, so it does not know
main()
"""
NO_INSTANCE = ("unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_inotify_instances; exec "$@"', "sh")


def test_a_file_whose_event_was_lost_is_done(make_rig: MakeRig) -> None:
    """And its request to cancel, and one that comes while the first waits."""
    rig = make_rig(sweep_seconds=1)
    rig.start(program=(sys.executable, "-c", HEARS_NOTHING))
    eventually(lambda: rig.state()["sources"]["a"]["watch"] == "events", what="the folder is watched")

    rig.drop_command("task-waits", "true", not_before="2099-01-01")
    rig.drop_command("task-lost", "echo done >> log")
    rig.result("task-lost")
    rig.cli("tasks", "cancel", "task-waits", check=True)

    assert rig.side_effects("log") == ["done"]
    assert rig.result("task-waits")["outcome"] == "cancelled"
    assert rig.state()["sources"]["a"]["watch"] == "events"


def test_without_inotify_the_sweep_serves_and_status_says_so(make_rig: MakeRig) -> None:
    """No instance is left on this machine: a warning with the setting to raise, never an error."""
    if subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    rig = make_rig(sweep_seconds=1)
    rig.start(program=(*NO_INSTANCE, *PROGRAM))
    eventually(lambda: rig.state()["sources"]["a"]["watch"] == "sweep", what="it is known")
    rig.drop_command("task-a", "echo done >> log")

    assert rig.result("task-a")["success"]
    assert "fs.inotify.max_user_instances" in rig.cli("status").stdout
