"""A running daemon looks at once where something elsewhere changes what may run: no sweep is waited for."""

from __future__ import annotations

import json
import signal

import pytest

from tests.acceptance.conftest import MakeRig
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(110)
_NO_SWEEP_S = 600
_UNTIL_GO = "echo began >> order; until test -e go; do sleep 0.02; done"


def test_a_task_begins_when_the_one_in_another_source_ends(make_rig: MakeRig) -> None:
    """In whichever source the other is, and however its name sorts; nothing happens in its own folder then."""
    rig = make_rig(sources=("a", "b", "c"), sweep_seconds=_NO_SWEEP_S)
    rig.start()
    rig.drop_command("task-last", "echo last >> order", source="c", depends_on="task-next")
    rig.drop_command("task-next", "echo next >> order", source="b", depends_on="task-first")
    rig.drop_command("task-first", _UNTIL_GO)
    rig.started("order")
    waits = "waits for task-first"
    eventually(lambda: waits in rig.cli("tasks", "list").stdout, what="task-next waits")
    (rig.workspace / "go").touch()

    assert rig.result("task-next", source="b")["success"] is True
    assert rig.result("task-last", source="c")["success"] is True
    assert rig.side_effects("order") == ["began", "next", "last"]


def test_changed_defaults_give_waiting_tasks_another_order(make_rig: MakeRig) -> None:
    """On SIGHUP, while a task runs: those that name no priority get the new one, and `tasks list` says the same."""
    rig = make_rig(sweep_seconds=_NO_SWEEP_S)
    daemon = rig.start()
    rig.drop_command("task-20260207-000001-running", _UNTIL_GO, priority=10)
    rig.started("order")
    rig.drop_command("task-20260207-000002-named", "echo named >> order", priority=7)
    rig.drop_command("task-20260207-000003-plain", "echo plain >> order")
    rig.drop_command("task-20260207-000004-low", "echo low >> order", priority=2)

    def waiting() -> list[str]:
        return [
            task["task_id"].rpartition("-")[2]
            for task in rig.json("tasks", "list", "--state", "pending")["tasks"]
        ]

    before = waiting()
    content = json.loads(rig.config.read_text())
    content["defaults"]["priority"] = 9
    rig.config.write_text(json.dumps(content))
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in rig.daemon_log(), what="it is reloaded")
    after = waiting()
    (rig.workspace / "go").touch()
    rig.result("task-20260207-000004-low")

    assert before == ["named", "plain", "low"]
    assert after == ["plain", "named", "low"]
    assert rig.side_effects("order") == ["began", "plain", "named", "low"]


def test_a_lower_default_lets_a_later_task_pass(make_rig: MakeRig) -> None:
    """The other direction, by the source's own defaults."""
    rig = make_rig(sweep_seconds=_NO_SWEEP_S)
    daemon = rig.start()
    rig.drop_command("task-20260207-000001-running", _UNTIL_GO)
    rig.started("order")
    rig.drop_command("task-20260207-000002-plain", "echo plain >> order")
    rig.drop_command("task-20260207-000003-named", "echo named >> order", priority=4)
    content = json.loads(rig.config.read_text())
    content["task_source_directories"][0]["defaults"] = {"priority": 3}
    rig.config.write_text(json.dumps(content))
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in rig.daemon_log(), what="it is reloaded")
    (rig.workspace / "go").touch()
    rig.result("task-20260207-000002-plain")

    assert rig.side_effects("order") == ["began", "named", "plain"]
