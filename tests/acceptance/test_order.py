"""Which task runs when, through the real daemon: what is told to wait waits, and the order told is the order run."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig

pytestmark = pytest.mark.timeout(110)
_NO_SWEEP_S = 600
_UNTIL_GO = "echo began >> order; until test -e go; do sleep 0.02; done"


def waiting(rig: Rig, *, source: str | None = None) -> list[tuple[str, str]]:
    """Ids and reasons, as `tasks list` has them."""
    listed = rig.json("tasks", "list", "--state", "pending")["tasks"]
    return [(task["task_id"], task["note"]) for task in listed if source in {None, task["source"]}]


def test_an_old_task_goes_before_a_more_important_new_one(make_rig: MakeRig) -> None:
    """With ageing: it is listed before it, and it runs before it."""
    rig = make_rig(sweep_seconds=_NO_SWEEP_S, limits={"ageing": "1h"})
    rig.start()
    rig.drop_command("task-20260207-000000-running", _UNTIL_GO, priority=10)
    rig.started("order")
    rig.drop_command("task-20260207-100000-new", "echo new >> order", priority=7)
    rig.drop_command("task-20260207-070000-old", "echo old >> order", priority=5)
    rig.drop_command("task-20260207-080000-middle", "echo middle >> order", priority=4)

    listed = [task_id.rpartition("-")[2] for task_id, _ in waiting(rig)]
    (rig.workspace / "go").touch()
    rig.result("task-20260207-080000-middle")

    assert listed == ["old", "new", "middle"]
    assert rig.side_effects("order") == ["began", "old", "new", "middle"]
