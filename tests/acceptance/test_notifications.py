"""Messages of the real daemon reach a person's program, each once; a target that fails stops nothing."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(110)
_SECRET = "sk-ant-in-the-environment-of-the-daemon"


def a_target(folder: Path, name: str, script: str, **more: Any) -> dict[str, Any]:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return {"command": [str(program)], "window": "1s", **more}


def messages(folder: Path) -> list[dict[str, Any]]:
    path = folder / "messages"
    lines = path.read_text().split("\0") if path.exists() else []
    return [json.loads(line) for line in lines if line.strip()]


def tasks_in(folder: Path) -> list[str]:
    return [event["task_id"] for message in messages(folder) for event in message["events"]]


def doctor(rig: Rig) -> dict[str, str]:
    """Level by sentence."""
    return {check["what"]: check["level"] for check in rig.json("doctor")["checks"]}


def test_each_event_is_sent_once_whatever_becomes_of_daemon_and_notifier(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    collects = f"(cat; printf '\\0') >> {tmp_path}/messages; env >> {tmp_path}/environment"
    rig = make_rig(
        defaults={"workflow": "single", "max_attempts": 1},
        notifications={
            "phone": a_target(tmp_path, "phone", collects),
            "broken": a_target(tmp_path, "broken", "echo 'no such channel' >&2; exit 3"),
            "hangs": a_target(tmp_path, "hangs", "sleep 600", timeout="1s"),
        },
    )
    daemon = rig.start(environment={"ANTHROPIC_API_KEY": _SECRET})
    rig.drop_command("task-1", "echo no; exit 1")
    eventually(lambda: tasks_in(tmp_path) == ["task-1"], what="the first message")
    rig.drop_command("task-2", "exit 1")
    rig.drop_command("task-3", "true")
    eventually(lambda: tasks_in(tmp_path) == ["task-1", "task-2"], what="the second message")
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    rig.start()
    rig.drop_command("task-4", "exit 1")
    eventually(lambda: "task-4" in tasks_in(tmp_path), what="the message of the next daemon")
    found = doctor(rig)
    tested = rig.cli("notify", "test", "phone"), rig.cli("notify", "test", "--json")

    assert tasks_in(tmp_path) == ["task-1", "task-2", "task-4"]
    first = messages(tmp_path)[0]
    assert (first["kind"], first["title"]) == ("events", "task-1: failed: exit code 1")
    assert rig.result("task-3")["success"] is True
    variables = (tmp_path / "environment").read_text()
    assert "TASK_QUEUE_TASK_ID=task-1" in variables
    assert _SECRET not in variables
    (in_force,) = rig.home.glob(".local/state/task-queue/*/config-in-force.json")
    assert "notifications" not in in_force.read_text(), "a URL may hold a secret"
    assert found["notifications go to 'phone'"] == "ok"
    assert any("'broken' was not delivered" in what and "no such channel" in what for what in found)
    assert any("'hangs' was not delivered" in what and "within 1 s" in what for what in found)
    assert (
        "not notified target=broken error=broken ended with exit code 3: no such channel" in rig.daemon_log()
    )
    assert tested[0].returncode == 0
    assert "delivered: phone ended with exit code 0" in tested[0].stdout
    assert tested[1].returncode == 1
    outcomes = {each["target"]: each["delivered"] for each in json.loads(tested[1].stdout)["targets"]}
    assert outcomes == {"phone": True, "broken": False, "hangs": False}


def test_a_report_comes_every_day(make_rig: MakeRig, tmp_path: Path) -> None:
    """Of the time since the last one; the state says when that was."""
    target = a_target(
        tmp_path, "phone", f"(cat; printf '\\0') >> {tmp_path}/messages", on=[], report_at="12:00"
    )
    rig = make_rig(notifications={"phone": target})
    daemon = rig.start()
    rig.drop_command("task-1", "true")
    rig.result("task-1")
    assert rig.stop(daemon) == 0
    (state,) = rig.home.glob(".local/state/task-queue/*/notifications.json")
    content = json.loads(state.read_text())
    content["targets"]["phone"]["reported_at"] = "2026-01-01T00:00:00+00:00"
    state.write_text(json.dumps(content))

    rig.start()
    (message,) = eventually(lambda: messages(tmp_path), what="the report")

    assert message["kind"] == "report"
    assert message["title"].startswith("1 done")
    assert "## Done\n\n- `task-1`" in message["body"]
