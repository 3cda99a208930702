"""Sources that start nothing new because a person wants that: over kills, and until nothing runs any more."""

from __future__ import annotations

import json

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.waiting import eventually

WAITS = "touch runs; while [ ! -e go ]; do sleep 0.02; done"


def state(rig: Rig, source: str = "a") -> str:
    return str(rig.state()["sources"][source]["state"])


def drained_events(rig: Rig) -> list[str]:
    events = map(json.loads, rig.cli("events", "--json").stdout.splitlines())
    return [event["source"] for event in events if event["type"] == "source_drained"]


def test_a_paused_source_stays_paused_over_a_kill(make_rig: MakeRig) -> None:
    """What runs ends, nothing new starts, another source goes on, and the configuration is as it was."""
    rig = make_rig(sources=("a", "b"))
    before = rig.config.read_bytes()
    daemon = rig.start()
    rig.drop_command("task-1", WAITS)
    eventually((rig.workspace / "runs").exists, what="the task runs")
    rig.cli("sources", "pause", "a", check=True)
    rig.drop_command("task-2", "echo 2 >> ran")
    daemon.kill()
    daemon.wait()
    rig.start()
    (rig.workspace / "go").touch()
    rig.result("task-1")
    rig.drop_command("task-b", "true", source="b")
    rig.result("task-b", source="b")
    eventually(lambda: state(rig) == "paused", what="the daemon knows")
    held = rig.json("tasks", "list", "--state", "pending")["tasks"][0]["note"]
    rig.cli("sources", "resume", "a", check=True)
    rig.result("task-2")

    assert held == "the source is paused; go on with: task-queue sources resume a"
    assert rig.side_effects("ran") == ["2"]
    assert rig.config.read_bytes() == before


def test_a_drain_is_reported_once_what_runs_has_ended(make_rig: MakeRig) -> None:
    """To who waits, as a state and as an event: once, also over a kill of the daemon."""
    rig = make_rig(sources=("a", "b"))
    daemon = rig.start()
    rig.drop_command("task-1", WAITS)
    rig.drop_command("task-2", "echo 2 >> ran")
    eventually((rig.workspace / "runs").exists, what="the task runs")
    rig.cli("sources", "drain", "--all", check=True)
    too_short = rig.cli("sources", "drain", "--all", "--wait", "--timeout", "0")
    eventually(lambda: state(rig, "b") == "drained", what="the idle source is drained")
    while_it_runs = state(rig)
    daemon.kill()
    daemon.wait()
    rig.start()
    (rig.workspace / "go").touch()
    waited = rig.cli("sources", "drain", "a", "--wait", check=True)
    eventually(lambda: state(rig) == "drained", what="the daemon shows it")
    ran_before = rig.side_effects("ran")
    events = drained_events(rig)
    rig.cli("sources", "resume", "--all", check=True)
    rig.result("task-2")

    assert (too_short.returncode, while_it_runs) == (1, "draining")
    assert waited.stdout == "drained a: nothing runs, and nothing new starts\n"
    assert (ran_before, sorted(events)) == ([], ["a", "b"])


def test_the_configurations_pause_is_told_apart(make_rig: MakeRig) -> None:
    """Resume cannot end it, and says what can."""
    rig = make_rig()
    rig.cli("config", "set", "sources.a.paused", "true", check=True)
    rig.start()
    rig.drop_command("task-1", "true")
    refused = rig.cli("sources", "resume", "a")
    eventually(lambda: state(rig) == "paused", what="the daemon knows")
    command = "task-queue config set sources.a.paused false"
    assert command in refused.stderr
    assert refused.returncode == 1
    assert f"the configuration pauses the source; go on with: {command}" in rig.cli("tasks", "list").stdout
    rig.cli(*command.split()[1:], check=True)
    rig.result("task-1")
