"""A configuration that is changed, or broken, while the real daemon serves it."""

from __future__ import annotations

import json

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.waiting import eventually


def test_changed_times_apply_to_what_waits_already(make_rig: MakeRig) -> None:
    """A document that is written in place waits until it has settled, by the time that is in force now."""
    rig = make_rig(settle_seconds=3600)
    rig.start()
    (rig.pending() / "task-a.md").write_text("---\nexecutor: sh\n---\ntrue\n")
    eventually(lambda: rig.json("tasks", "list")["tasks"], what="the document is seen")

    content = json.loads(rig.config.read_text())
    rig.config.write_text(json.dumps({**content, "settle_seconds": 0.1}))

    assert rig.result("task-a")["success"]


def test_a_broken_configuration_leaves_what_looks_and_cancels(rig: Rig) -> None:
    """They use the configuration last in force, and say so; what acts on more than one task does not."""
    rig.start()
    rig.drop_command("task-a", "true")
    rig.result("task-a")
    rig.drop_command("task-b", "true", not_before="2999-01-01")
    rig.config.write_text('{"version": "2.1", oops')

    for words in (("status",), ("tasks", "show", "task-a"), ("tasks", "list")):
        answer = rig.cli(*words)
        assert "task-a" in answer.stdout or words == ("status",), answer
        assert "line 1, column 20" in answer.stderr, answer
        assert "the configuration last in force is used" in answer.stderr
    assert rig.cli("status").returncode == 3
    cancelled = rig.cli("tasks", "cancel", "task-b")
    assert (cancelled.returncode, rig.result("task-b")["outcome"]) == (0, "cancelled"), cancelled
    added = rig.cli("tasks", "add", "Do it.", "--source", "a")
    assert (added.returncode, added.stdout) == (1, ""), added
    assert "line 1, column 20" in added.stderr


def test_a_command_that_is_gone_for_a_moment_holds_its_tasks(rig: Rig) -> None:
    """An edit of a few seconds rejects none of them: others go on, and they themselves once it is back."""
    content = json.loads(rig.config.read_text())
    other = {"kind": "command", "argv": ["/bin/sh"]}
    rig.config.write_text(json.dumps({**content, "executors": {"other": other}}))
    rig.start()
    for number in range(5):
        rig.drop_command(f"task-{number}", "true", priority=9)
    (rig.pending() / "task-other.md").write_text("---\nexecutor: other\n---\ntrue\n")
    assert rig.result("task-other")["success"]
    held = rig.json("tasks", "list", "--state", "pending")["tasks"]

    rig.config.write_text(json.dumps({**content, "executors": {**content["executors"], "other": other}}))

    assert {task["note"] for task in held} == {
        "waits: line 2: executor 'sh' is not configured; configured are: claude, other"
    }
    results = [rig.result(f"task-{number}") for number in range(5)]
    assert [len(result["attempts"]) for result in results if result["success"]] == [1] * 5


def test_one_place_checks_the_configuration_for_all_that_act_on_it(rig: Rig) -> None:
    """What the daemon would refuse is refused by the command that hands a task in, too."""
    content = json.loads(rig.config.read_text())
    rig.config.write_text(json.dumps({**content, "limits": {"memory_mb": "lots"}}))

    for words in (("tasks", "add", "Do it.", "--source", "a"), ("run", "--drain"), ("daemon",)):
        refused = rig.cli(*words)
        assert refused.returncode == 1, refused
        assert "limits.memory_mb: must be a whole number" in refused.stderr, refused
