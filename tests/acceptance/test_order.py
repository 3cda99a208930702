"""Which task runs when, through the real daemon: what is told to wait waits, and the order told is the order run."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.waiting import eventually

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


def test_a_cycle_and_a_missing_task_survive_a_kill(make_rig: MakeRig) -> None:
    """The task that closes a cycle is rejected at once; what waits for no task of that name waits for a person."""
    rig = make_rig(sources=("a", "b"), sweep_seconds=_NO_SWEEP_S)
    daemon = rig.start()
    rig.drop_command("task-missing", "echo missing >> order", depends_on="task-nowhere")
    rig.drop_command("task-one", "echo one >> order", depends_on="task-two")
    one = ("task-one", "waits for task-two (there is no such task)")
    eventually(lambda: one in waiting(rig), what="task-one waits")
    rig.drop_command("task-two", "echo two >> order", source="b", depends_on="task-one")
    rejected = rig.result("task-two", source="b")
    daemon.kill()
    daemon.wait()
    left = dict(waiting(rig))
    rig.start()

    assert (rejected["outcome"], rejected["state"]) == ("rejected", "failed")
    assert "depends_on closes a cycle: task-two -> task-one -> task-two" in rejected["error"]
    assert left == dict(waiting(rig)) == {
        "task-missing": "waits for task-nowhere (there is no such task)",
        "task-one": "blocked by task-two (failed)",
    }  # fmt: skip
    needs = {need["task_id"]: need["kind"] for need in rig.json("status")["attention"]}
    assert (needs["task-missing"], needs["task-one"]) == ("blocked", "blocked")
    (rig.queue("b") / "failed" / "task-two.md").write_text("---\nexecutor: sh\n---\necho two >> order\n")
    rig.cli("tasks", "retry", "task-two", check=True)
    rig.drop_command("task-nowhere", "true", source="b")
    rig.result("task-one")
    rig.result("task-missing")
    assert sorted(rig.side_effects("order")) == ["missing", "one", "two"]


def test_a_cycle_that_came_while_no_daemon_ran_is_told_and_ended(make_rig: MakeRig) -> None:
    """In the words that the list had for it before; an edit may close one, too."""
    rig = make_rig(sources=("a", "b"), sweep_seconds=_NO_SWEEP_S)
    rig.drop_command("task-two", "true", source="b", depends_on="task-one")
    rig.drop_command("task-one", "true", depends_on="task-two")
    rig.drop_command("task-edited", "true", depends_on="task-one")
    told = dict(waiting(rig))
    rig.start()
    ended = rig.result("task-one")

    assert told == {
        "task-edited": "waits for task-one",
        "task-one": f"will be rejected: {ended['error']}",
        "task-two": "waits for task-one",
    }
    rig.drop_command("task-edited", "true", depends_on="task-edited")
    assert "task-edited -> task-edited" in rig.result("task-edited")["error"]
