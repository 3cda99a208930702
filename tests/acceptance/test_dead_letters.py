"""Tasks whose attempts are used up, from the first failure to the retry of all of them."""

from __future__ import annotations

from tests.acceptance.rig import Rig


def test_dead_letters_are_found_and_all_tried_again(rig: Rig) -> None:
    """Their attempts left are counted down before, and counted anew after; what was cancelled is not among them."""
    rig.drop_command("task-1", "[ -e mended ]", max_attempts=2, retry_delay="1h")
    rig.drop_command("task-2", "[ -e mended ]", max_attempts=1)
    rig.drop_command("task-3", "true", not_before="2099-01-01T00:00:00")
    rig.cli("tasks", "cancel", "task-3", check=True)
    rig.start()
    rig.result("task-2")
    rig.result("task-3")
    waiting = rig.json("tasks", "show", "task-1")["waiting"]
    (rig.workspace / "mended").touch()
    dead = [task["task_id"] for task in rig.json("tasks", "list", "--dead")["tasks"]]
    retried = rig.json("tasks", "retry", "--all-dead", "--yes")["retried"]
    again = rig.result("task-2")

    assert (waiting["attempts"], waiting["attempts_left"]) == (1, 1)
    assert waiting["next_attempt_at"] is not None
    assert dead == retried == ["task-2"]
    assert (again["outcome"], again["dead_letter"]) == ("succeeded", False)
