"""A source with as many waiting tasks as it may have: commands add none, what is dropped is taken all the same."""

from __future__ import annotations

from tests.acceptance.conftest import MakeRig

WAITS = "echo ran >> ran; while [ ! -e go ]; do sleep 0.02; done"


def test_a_full_queue_refuses_commands_over_a_kill(make_rig: MakeRig) -> None:
    """With the number and when there may be room; and takes tasks again once one of them has begun."""
    rig = make_rig(limits={"max_pending": 2})
    daemon = rig.start()
    rig.drop_command("task-1", WAITS)
    rig.started("ran")
    for number in (2, 3):
        rig.cli("tasks", "add", "--source", "a", "--name", f"task-{number}", "# Wait", check=True)
    refused = rig.cli("tasks", "add", "--source", "a", "--name", "task-4", "# Wait")
    daemon.kill()
    daemon.wait()
    down = rig.cli("tasks", "add", "--source", "a", "--name", "task-4", "# Wait")
    rig.drop_command("task-5", "true", priority=9)
    rig.start()
    again = rig.cli("tasks", "add", "--source", "a", "--name", "task-4", "# Wait")
    (rig.workspace / "go").touch()

    assert rig.result("task-5")["success"]
    for answer in (refused, down, again):
        assert answer.returncode == 1
        assert "queue full" in answer.stderr
    assert "2 tasks wait in" in refused.stderr
    assert "once task-1 has ended and the next task starts, expected at about 20" in refused.stderr
    assert "no task of it starts before the daemon runs" in down.stderr
    assert rig.side_effects("ran") == ["ran"]
