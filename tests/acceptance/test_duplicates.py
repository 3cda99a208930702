"""At most one task with a ``dedupe_key`` is queued or running, over all sources."""

from __future__ import annotations

from tests.acceptance.conftest import MakeRig
from tests.waiting import eventually

WAITS = "echo 1 >> ran; while [ ! -e go ]; do sleep 0.02; done"


def test_a_duplicate_is_rejected_while_the_first_runs(make_rig: MakeRig) -> None:
    """At once, in whichever source, over a kill; nothing is lost, and a command is refused with the first one's id."""
    rig = make_rig(sources=("a", "b"))
    daemon = rig.start()
    rig.drop_command("task-1", WAITS, dedupe_key="nightly")
    rig.started("ran")
    rig.drop_command("task-2", "echo 2 >> ran", dedupe_key="nightly")
    same = rig.result("task-2")
    daemon.kill()
    daemon.wait()
    rig.drop_command("task-3", "echo 3 >> ran", source="b", dedupe_key="nightly")
    told = rig.json("tasks", "show", "task-3")["waiting"]["why"]
    rig.start()
    other = rig.result("task-3", source="b")
    refused = rig.cli("tasks", "add", "--source", "b", "--dedupe-key", "nightly", "# Do it")
    retried = rig.cli("tasks", "retry", "task-2")
    (rig.workspace / "go").touch()
    rig.result("task-1")
    rig.cli("tasks", "retry", "task-2", check=True)
    rig.result("task-2")

    reason = "duplicate of task-1, which runs and has the same dedupe_key 'nightly'"
    elsewhere = reason.replace("task-1", "task-1 of source 'a'")
    assert (same["outcome"], same["state"], same["error"]) == ("rejected", "failed", reason)
    assert (other["outcome"], other["error"], told) == (
        "rejected",
        elsewhere,
        f"will be rejected: {elsewhere}",
    )
    assert (refused.returncode, retried.returncode) == (1, 1)
    assert elsewhere in refused.stderr
    assert reason in retried.stderr
    assert rig.side_effects("ran") == ["1", "2"]


def test_of_two_dropped_at_once_exactly_one_runs(make_rig: MakeRig) -> None:
    """In two sources, before the daemon starts: the earlier by its name, though it depends on the text alone.

    The first source is looked at while the last one of many is not served yet.
    """
    rig = make_rig(sources=("a", *(f"empty-{number}" for number in range(40)), "b"))
    for number in range(4):
        name = f"task-20260207-12000{number}-same"
        rig.drop_command(name, "echo ran >> ran", source="ba"[number % 2], dedupe_key="content")
    rig.start()
    ran = rig.result("task-20260207-120000-same", source="b")
    others = [
        rig.result(f"task-20260207-12000{number}-same", source="ba"[number % 2]) for number in (1, 2, 3)
    ]
    rig.drop_command("task-again", "echo ran >> ran", dedupe_key="content")
    again = rig.result("task-again")

    assert (ran["outcome"], again["outcome"]) == ("succeeded", "succeeded"), again["error"]
    assert {result["outcome"] for result in others} == {"rejected"}
    assert all("task-20260207-120000-same" in result["error"] for result in others)
    eventually(lambda: rig.side_effects("ran") == ["ran", "ran"], what="two ran, one after the other")
