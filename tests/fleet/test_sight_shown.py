"""The commands of one machine about tasks of the others: real daemons on one database."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.fleet.machines import Machine, MakeMachine, noting
from tests.waiting import eventually


def seen_by(machine: Machine, task_id: str, state: str) -> dict[str, Any]:
    """The task as ``status --json`` of *machine* has it, once it is in *state*."""

    def found() -> dict[str, Any] | None:
        tasks = machine.json("status")["fleet"]["tasks"]
        return next((each for each in tasks if (each["task_id"], each["state"]) == (task_id, state)), None)

    found_task = eventually(found, what=f"{machine.name} shows {task_id} as {state}")
    assert found_task is not None
    return found_task


def facts(task: dict[str, Any]) -> tuple[str | None, ...]:
    return tuple(task[key] for key in ("source", "title", "came_in_at", "host", "outcome"))


def test_who_sits_at_one_host_sees_what_came_in_at_the_other(machine: MakeMachine, tmp_path: Path) -> None:
    go = tmp_path / "go"
    front = machine("front", sources=("a",), shared=("app",), slots=1)
    back = machine("back", sources=("b",), shared=("app",))
    back.start()
    front.start()
    wait = f"while [ ! -e {go} ]; do sleep 0.05; done"
    front.drop("task-own", noting(tmp_path / "starts", "task-own", wait, title="Mine alone"))
    seen_by(back, "task-own", "running")  # it takes the only place of that host
    front.drop("task-1", noting(tmp_path / "starts", "task-1", wait, title="For all"), source="app")
    own, runs = seen_by(back, "task-own", "running"), seen_by(back, "task-1", "running")
    front.drop("task-2", noting(tmp_path / "starts", "task-2", title="After it"), source="app")
    waits = seen_by(back, "task-2", "pending")
    text = back.cli("status").stdout
    listed = back.cli("tasks", "list").stdout
    chosen = back.json("tasks", "list", "--source", "app", "--state", "pending")["fleet"]["tasks"]
    own_view = front.json("status")["fleet"]
    go.touch()
    ended = seen_by(back, "task-1", "completed")

    assert facts(own) == ("a@front", "Mine alone", "front", "front", None)
    assert facts(runs) == ("app", "For all", "front", "back", None)
    assert facts(waits) == ("app", "After it", "front", None, None)
    assert facts(ended) == ("app", "For all", "front", "back", "succeeded")
    assert [each["task_id"] for each in chosen] == ["task-2"]
    assert (own_view["host"], own_view["tasks"]) == ("front", [])
    assert {(each["name"], each["state"]) for each in own_view["hosts"]} == {("front", "up"), ("back", "up")}
    for said in (text, listed):
        assert "elsewhere in the fleet" in said
        assert "came in at front, runs here since" in said
        assert "came in at front, runs on front since" in said
    assert "host back; front up, runs 1" in text


def test_what_is_known_has_its_age_while_nothing_is_heard_of_the_database(machine: MakeMachine) -> None:
    front, back = machine("front", shared=("app",), slots=0), machine("back")
    back.start()
    front.start()
    front.drop_command("task-1", "true", source="app", title="Later")
    seen_by(back, "task-1", "pending")
    current = back.json("status")["fleet"]
    back.stop(back.daemons[-1])
    (lease,) = back.home.glob(".local/state/task-queue/*/fleet/lease")
    heard_at = lease.stat().st_mtime - 60
    os.utime(lease, (heard_at, heard_at))
    view, text = back.json("status")["fleet"], back.cli("status").stdout

    assert current["is_current"]
    assert (view["is_current"], [task["task_id"] for task in view["tasks"]]) == (False, ["task-1"])
    assert "the database of the fleet has not been reached since" in text


def test_what_no_host_has_needs_a_person_where_it_came_in(machine: MakeMachine, tmp_path: Path) -> None:
    """What one host has in its configuration, the others know once it has joined."""
    go = tmp_path / "go"
    front = machine("front", shared=("app",), slots=0)
    back = machine("back", shared=("app",), capabilities=["gpu", "docker"])
    back.start()
    front.start()
    front.drop_command("task-holds", f"while [ ! -e {go} ]; do sleep 0.05; done", source="app")
    seen_by(back, "task-holds", "running")
    front.drop_command("task-gpu", "echo done", source="app", capabilities="gpu")
    front.drop_command("task-tpu", "echo done", source="app", capabilities="gpu, tpu")
    front.drop_command("task-own", "echo done", source="a", capabilities="gpu")
    seen_by(back, "task-tpu", "pending")
    view, text = front.json("status"), front.cli("status").stdout
    needs = {need["task_id"]: need["sentence"] for need in view["attention"]}
    go.touch()

    assert front.result("task-gpu", source="app")["worker"] == "back"
    assert needs.keys() == {"task-tpu", "task-own"}
    assert "no host of the fleet has 'tpu'" in needs["task-tpu"]
    assert "this machine does not have 'gpu'" in needs["task-own"]
    assert "no host of the fleet has 'tpu'" in text


def test_a_machine_alone_says_nothing_of_a_fleet(machine: MakeMachine) -> None:
    one = machine("one")
    content = json.loads(one.config.read_text())
    del content["fleet"]
    one.config.write_text(json.dumps(content))

    assert one.json("status")["fleet"] is None
    assert "fleet" not in one.cli("status").stdout
