"""Documents that a person moves, edits and deletes in every state that a task can be in; the real daemon answers.

What happens while a task runs is in ``test_two_of_everything.py``. The answers are told in ``docs/by-hand.md``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.rig import Rig
from tests.acceptance.test_daemon import UNTIL_TOLD
from tests.acceptance.test_two_of_everything import at_once, places
from tests.waiting import eventually

pytestmark = pytest.mark.long

FAILS_ONCE = "echo ran >> log; [ -e go ]"


@pytest.mark.parametrize("where", ["completed", "failed"])
def test_a_waiting_document_moved_to_an_end_has_ended(rig: Rig, where: str) -> None:
    """It never runs, has no result, and is left alone."""
    behind_a_running_task(rig)
    move(rig, "pending", where)
    the_daemon_looks_again(rig)

    assert places(rig, "task-a") == [where]
    assert not (rig.queue() / "results" / "task-a.json").exists()
    assert rig.side_effects("log") == []


def test_a_waiting_document_that_comes_back_runs(rig: Rig) -> None:
    """As if newly dropped."""
    behind_a_running_task(rig)
    move(rig, "pending", "..")
    move(rig, "..", "pending")
    the_daemon_looks_again(rig)

    assert rig.result("task-a")["outcome"] == "succeeded"
    assert rig.side_effects("log") == ["ran"]


def test_a_waiting_document_that_is_edited_runs_with_its_new_text(rig: Rig) -> None:
    """Once, under its name."""
    behind_a_running_task(rig)
    rig.drop_command("task-a", "echo new >> log")
    the_daemon_looks_again(rig)

    assert rig.result("task-a")["outcome"] == "succeeded"
    assert rig.side_effects("log") == ["new"]


def test_an_edit_before_the_next_try_is_what_runs_then(rig: Rig) -> None:
    """As the next attempt of the same task; the snapshots keep both texts."""
    waits_for_another_try(rig, "6s")
    rig.drop_command("task-a", "echo new >> log")

    result = rig.result("task-a")
    assert [attempt["number"] for attempt in result["attempts"]] == [1, 2]
    assert rig.side_effects("log") == ["ran", "new"]
    assert "[ -e go ]" in snapshot(rig, 1)
    assert "echo new" in snapshot(rig, 2)


def test_a_document_moved_to_an_end_before_its_next_try_is_not_tried_again(rig: Rig) -> None:
    """It lies where the person put it; its history goes into logs/."""
    waits_for_another_try(rig)
    waits_for_another_try(rig, task="task-b")
    move(rig, "pending", "completed")
    move(rig, "pending", "failed", task="task-b")

    eventually(lambda: list(rig.pending().iterdir()) == [], timeout=60, what="their history is put away")
    assert (places(rig, "task-a"), places(rig, "task-b")) == (["completed"], ["failed"])
    assert rig.side_effects("log") == ["ran", "ran"]
    assert {path.name.split(".")[0] for path in (rig.queue() / "logs").glob("*.attempts.json.*")} == {
        "task-a",
        "task-b",
    }


@pytest.mark.parametrize("where", ["completed", "failed"])
def test_an_ended_document_that_is_deleted_stays_deleted(rig: Rig, where: str) -> None:
    """Its result stays; a retry says that there is nothing to retry; the next of that name is a new record."""
    ended(rig, where)
    (rig.queue() / where / "task-a.md").unlink()

    retried = rig.cli("tasks", "retry", "task-a")
    rig.drop_command("task-a", "echo again >> log")

    assert rig.result("task-a.2")["outcome"] == "succeeded"
    assert rig.side_effects("log") == ["ran", "again"]
    assert (rig.queue() / "results" / "task-a.json").exists()
    assert (retried.returncode, "task-a" in retried.stderr) == (1, True)


def test_a_completed_document_moved_to_pending_is_a_new_record(rig: Rig) -> None:
    """The older result stays; the new one has a number."""
    ended(rig, "completed")
    move(rig, "completed", "pending")

    assert rig.result("task-a.2")["outcome"] == "succeeded"
    assert (rig.queue() / "results" / "task-a.json").exists()
    assert rig.side_effects("log") == ["ran", "ran"]


def test_a_completed_document_moved_to_failed_may_be_retried(rig: Rig) -> None:
    """A person takes the success back; the numbers go on."""
    ended(rig, "completed")
    move(rig, "completed", "failed")
    rig.cli("tasks", "retry", "task-a", check=True)

    eventually(lambda: rig.side_effects("log") == ["ran", "ran"], what="it runs again")
    eventually(lambda: places(rig, "task-a") == ["completed"], what="it is done")
    assert [attempt["number"] for attempt in rig.result("task-a")["attempts"]] == [1, 2]


def test_a_failed_document_that_is_edited_is_retried_with_its_new_text(rig: Rig) -> None:
    """Which is how a person puts a task right."""
    ended(rig, "failed")
    document = rig.queue() / "failed" / "task-a.md"
    document.write_text(document.read_text().replace("[ -e go ]", "echo right >> log"))
    rig.cli("tasks", "retry", "task-a", check=True)

    eventually(lambda: places(rig, "task-a") == ["completed"], what="it is done")
    assert rig.side_effects("log") == ["ran", "ran", "right"]


def test_one_person_cancels_what_another_retries(rig: Rig) -> None:
    """Each is told what came of it; the task has one end, and no request is left for the next of that name."""
    ended(rig, "failed")
    (rig.workspace / "go").touch()

    answers = at_once(rig, ("tasks", "retry", "task-a"), ("tasks", "cancel", "task-a"))
    eventually(lambda: list(rig.pending().iterdir()) == [], timeout=60, what="nothing is left")

    (retried, _), (cancelled, _) = answers
    result = rig.result("task-a")
    assert retried == 0, answers
    assert (places(rig, "task-a"), result["outcome"]) in [
        (["completed"], "succeeded"),
        *([(["failed"], "cancelled")] if cancelled == 0 else []),
    ]
    assert [attempt["number"] for attempt in result["attempts"]] == [1, 2]
    assert rig.side_effects("log")[:1] == ["ran"]
    assert len(rig.side_effects("log")) <= 2


# How a task comes to be in a state


def behind_a_running_task(rig: Rig) -> None:
    rig.start()
    rig.drop_command("task-1", UNTIL_TOLD.replace("log", "first"))
    rig.started("first")
    rig.drop_command("task-a", "echo ran >> log")


def the_daemon_looks_again(rig: Rig) -> None:
    """What runs ends, and another task after it."""
    (rig.workspace / "go").touch()
    rig.result("task-1")
    rig.drop_command("task-z", "true")
    rig.result("task-z")


def waits_for_another_try(rig: Rig, delay: str = "1h", task: str = "task-a") -> None:
    if not rig.daemons:
        rig.start()
    rig.drop_command(task, FAILS_ONCE, retry_delay=delay)
    eventually((rig.pending() / f".{task}.attempts.json").exists, what="it waits for its retry")
    eventually(lambda: not rig.locks(), what="it is unlocked")


def ended(rig: Rig, where: str) -> None:
    rig.start()
    rig.drop_command("task-a", "echo ran >> log" if where == "completed" else FAILS_ONCE, max_attempts=1)
    assert rig.result("task-a")["state"] == where


def move(rig: Rig, source: str, target: str, task: str = "task-a") -> None:
    (rig.queue() / source / f"{task}.md").rename(rig.queue() / target / f"{task}.md")


def snapshot(rig: Rig, number: int) -> str:
    return Path(rig.queue() / "logs" / "task-a" / f"attempt-{number}" / "task.md").read_text()
