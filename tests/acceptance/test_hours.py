"""Hours in which a source starts tasks, through the real daemon."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from tests.acceptance.rig import Rig
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(110)


def set_windows(rig: Rig, *windows: str) -> None:
    content = json.loads(rig.config.read_text())
    content["task_source_directories"][0]["windows"] = windows
    rig.config.write_text(json.dumps(content))


def another_day() -> str:
    """A window that is closed now, and for days."""
    return f"{datetime.now().astimezone() + timedelta(days=3):%a} 12:00-13:00"


def test_what_runs_goes_on_past_the_end_of_its_window(rig: Rig) -> None:
    """Nothing more starts then; once a window is open again, it does by itself."""
    rig.start()
    gate = rig.home / "gate"
    rig.drop_command("task-a", f"echo begun >> begun; while [ ! -e {gate} ]; do sleep 0.02; done")
    rig.started("begun")
    rig.drop_command("task-b", "true")
    set_windows(rig, another_day())
    eventually(
        lambda: rig.cli("events", "--type", "configuration_changed").stdout, what="the hours are in force"
    )
    gate.touch()

    assert rig.result("task-a")["success"] is True
    held = eventually(lambda: rig.state()["sources"]["a"]["why"], what="the daemon holds task-b")
    assert held in rig.cli("status").stdout
    assert held == rig.json("tasks", "show", "task-b")["waiting"]["why"]
    set_windows(rig, "00:00-12:00", "12:00-24:00")
    assert rig.result("task-b")["success"] is True


def test_run_knows_when_a_window_opens(rig: Rig) -> None:
    """It would wait for it, however long; with --patience it ends and says why."""
    set_windows(rig, another_day())
    rig.drop_command("task-a", "true")

    done = rig.cli("run", "--drain", "--patience", "1s")

    assert done.returncode == 3, done.stderr
    assert "waits for a person" not in done.stderr
    assert (
        "not done: task-a in source 'a': outside the hours of the source: it starts nothing before"
        in done.stderr
    )
    assert "nothing can start before" in done.stderr
