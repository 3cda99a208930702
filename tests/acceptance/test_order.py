"""Which task runs when, through the real daemon: what is told to wait waits, and the order told is the order run."""

from __future__ import annotations

import json
import signal
from datetime import datetime, timedelta
from itertools import pairwise

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


def test_tasks_that_touch_the_same_files_never_run_together(make_rig: MakeRig) -> None:
    """Over sources, also after a kill while the runner goes on; another one of the source passes meanwhile."""
    rig = make_rig(sources=("a", "b"), sweep_seconds=_NO_SWEEP_S)
    daemon = rig.start()
    rig.drop_command("task-long", _UNTIL_GO, touches="src/**")
    rig.started("order")
    rig.drop_command("task-1-same", "echo same >> order", source="b", touches="src/x.py")
    rig.drop_command("task-2-other", "echo other >> order", source="b", touches="docs")
    rig.result("task-2-other", source="b")
    top = str(rig.workspace)
    why = f"task-long of source 'a' runs and may touch the same files ({top}/src/x.py and {top}/src/**)"
    eventually(lambda: dict(waiting(rig)) == {"task-1-same": why}, what="the list says why")
    daemon.kill()
    daemon.wait()
    rig.start()
    eventually(lambda: dict(waiting(rig)) == {"task-1-same": why}, what="the next daemon says it, too")
    before = rig.side_effects("order")
    (rig.workspace / "go").touch()
    rig.result("task-1-same", source="b")

    assert before == ["began", "other"]
    assert rig.side_effects("order") == ["began", "other", "same"]


def test_one_workspace_has_one_task_at_a_time_and_starts_are_apart(make_rig: MakeRig) -> None:
    """By `limits.per_workspace` and `limits.start_gap`, over three sources."""
    rig = make_rig(
        sources=("a", "b", "c"), sweep_seconds=_NO_SWEEP_S, limits={"per_workspace": 1, "start_gap": "2s"}
    )
    rig.start()
    rig.drop_command("task-a", f"mkdir busy && {_UNTIL_GO}; rmdir busy")
    rig.started("order")
    for source in "bc":
        rig.drop_command(f"task-{source}", "mkdir busy && echo alone >> order; rmdir busy", source=source)
    why = f"1 task runs in {rig.workspace} already (limits.per_workspace is 1)"
    eventually(
        lambda: dict(waiting(rig)) == {"task-b": why, "task-c": why}, what="the list says why both wait"
    )
    (rig.workspace / "go").touch()
    for source in "abc":
        rig.result(f"task-{source}", source=source)
    told = rig.cli("events", "--json", "--type", "claimed", check=True).stdout
    starts = [datetime.fromisoformat(json.loads(each)["at"]) for each in told.splitlines()]

    assert len(starts) == 3
    assert rig.side_effects("order") == ["began", "alone", "alone"]
    assert min(after - before for before, after in pairwise(starts)) > timedelta(seconds=1.4)


def test_a_source_whose_results_nobody_looked_at_starts_nothing_new(make_rig: MakeRig) -> None:
    """By `limits.unreviewed`; another source goes on, and so does this one after `tasks ack`."""
    rig = make_rig(sources=("a", "b"), sweep_seconds=_NO_SWEEP_S, limits={"unreviewed": 1})
    rig.start()
    rig.drop_command("task-1", "false", max_attempts=1)
    rig.result("task-1")
    rig.drop_command("task-2", "true")
    rig.drop_command("task-3", "true", source="b")
    rig.result("task-3", source="b")
    why = (
        "1 result waits for a person (limits.unreviewed): nothing new starts before one of these is settled or"
        " acknowledged; see them with: task-queue status"
    )
    eventually(lambda: dict(waiting(rig)) == {"task-2": why}, what="the list says why")
    eventually(lambda: rig.state()["sources"]["a"]["why"] == why, what="the worker says so, too")
    rig.cli("tasks", "ack", "task-1", check=True)

    assert rig.result("task-2")["success"] is True


def test_a_task_waits_for_what_this_machine_lacks(make_rig: MakeRig) -> None:
    """Until the configuration says that it has it."""
    rig = make_rig(sweep_seconds=_NO_SWEEP_S)
    daemon = rig.start()
    rig.drop_command("task-1", "true", capabilities="gpu")
    eventually(lambda: "does not have 'gpu'" in dict(waiting(rig)).get("task-1", ""), what="it waits")
    (need,) = rig.json("status")["attention"]
    rig.config.write_text(json.dumps(json.loads(rig.config.read_text()) | {"capabilities": ["gpu"]}))
    daemon.send_signal(signal.SIGHUP)

    assert (need["kind"], need["task_id"]) == ("not_configured", "task-1")
    assert rig.result("task-1")["success"] is True
