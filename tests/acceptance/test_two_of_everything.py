"""Two daemons, two persons at once, and hands in the folders: each case has a defined answer.

The answers are told in ``docs/by-hand.md``; here they are tried with the real daemon.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.rig import Rig
from tests.acceptance.test_daemon import UNTIL_TOLD
from tests.waiting import eventually
from tests.warm import Process

pytestmark = pytest.mark.long


def places(rig: Rig, name: str) -> list[str]:
    """In which folders a document of that name lies."""
    folders = ("pending", "completed", "failed")
    return [folder for folder in folders if os.path.lexists(rig.queue() / folder / f"{name}.md")]


def has_begun(rig: Rig, name: str) -> bool:
    return bool(rig.locks("a", name)) or len(places(rig, name)) == 1


def attempt(rig: Rig, name: str, number: int = 1) -> Path:
    return rig.queue() / "logs" / name / f"attempt-{number}"


def at_once(rig: Rig, *commands: tuple[str, ...]) -> list[tuple[int, str]]:
    """Run several command lines at the same time."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "task_queue.cli", "--config", str(rig.config), *command],
            env=rig.environment,
            cwd=rig.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    outputs = [process.communicate(timeout=100)[0] for process in started]
    return [(process.returncode, output) for process, output in zip(started, outputs, strict=True)]


# Two daemons


def test_another_runtime_directory_makes_no_second_daemon(rig: Rig) -> None:
    """As a login and a cron job have: the state folder's lock holds, too."""
    daemon = rig.start()
    rig.environment["XDG_RUNTIME_DIR"] = str(rig.home / "other-run")

    second = rig.cli("daemon")

    assert second.returncode == 1
    assert f"pid {daemon.pid}" in second.stderr
    assert rig.state()["pid"] == daemon.pid


def test_two_daemons_that_share_no_lock_do_not_share_a_source(rig: Rig) -> None:
    """Neither state nor runtime folder in common: the source's own guard holds, and the second takes over."""
    first = rig.start()
    elsewhere = {"XDG_RUNTIME_DIR": str(rig.home / "run-2"), "XDG_STATE_HOME": str(rig.home / "state-2")}
    second = subprocess.Popen(
        [sys.executable, "-m", "task_queue.cli", "--config", str(rig.config), "daemon"],
        env={**rig.environment, **elsewhere},
        cwd=rig.home,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    rig.daemons.append(second)

    def source_of_second() -> dict[str, str]:
        for path in (rig.home / "state-2").glob("task-queue/*/daemon.json"):
            found: dict[str, str] = json.loads(path.read_text())["sources"]["a"]
            return found
        return {}

    eventually(lambda: source_of_second().get("state") == "unavailable", what="it is refused")
    for number in range(5):
        rig.drop_command(f"task-{number}", f"echo {number} >> log")
    for number in range(5):
        rig.result(f"task-{number}")
    rig.stop(first)
    rig.drop_command("task-5", "echo 5 >> log")

    assert rig.result("task-5")["success"]
    assert rig.side_effects("log") == ["0", "1", "2", "3", "4", "5"]


# Two persons


def test_two_cancel_one_task(rig: Rig) -> None:
    """Both are told that it is cancelled; it is, once."""
    rig.start()
    rig.drop_command("task-a", UNTIL_TOLD)
    rig.started("log")

    answers = at_once(rig, *[("tasks", "cancel", "task-a")] * 3)

    assert rig.result("task-a")["outcome"] == "cancelled"
    assert all((code == 0 and "cancelled" in out) or "has ended already" in out for code, out in answers), (
        answers
    )
    assert rig.marked() == []


def test_two_retry_one_task(rig: Rig) -> None:
    """One of them does; the other is told so; the attempts' history is whole."""
    rig.start()
    rig.drop_command("task-a", "echo ran >> log; [ -e go ]", max_attempts=1)
    rig.result("task-a")
    (rig.workspace / "go").touch()

    answers = at_once(rig, *[("tasks", "retry", "task-a")] * 3)
    eventually(lambda: places(rig, "task-a") == ["completed"], what="it is done")

    assert sorted(code for code, _ in answers) == [0, 1, 1], answers
    assert [a["number"] for a in rig.result("task-a")["attempts"]] == [1, 2]
    assert rig.side_effects("log") == ["ran", "ran"]


def test_many_add_tasks_of_one_name(rig: Rig) -> None:
    """Each gets an id of its own, and each runs."""
    draft = rig.home / "task-same.md"
    draft.write_text("---\nexecutor: sh\n---\necho ran >> log\n")
    rig.start()

    answers = at_once(rig, *[("tasks", "add", "--source", "a", "--file", str(draft), "--wait", "--json")] * 4)

    ids = {json.loads(out[out.index("{") :])["task_id"] for _, out in answers}
    assert len(ids) == 4
    assert rig.side_effects("log") == ["ran"] * 4


def test_what_runs_cannot_be_retried(rig: Rig) -> None:
    """The person is told; nothing changes."""
    rig.start()
    rig.drop_command("task-a", UNTIL_TOLD)
    rig.started("log")

    told = rig.cli("tasks", "retry", "task-a")
    (rig.workspace / "go").touch()

    assert (told.returncode, "is running, not failed" in told.stderr) == (1, True)
    assert rig.result("task-a")["success"]


def test_a_cancel_beside_the_end_leaves_one_answer(rig: Rig) -> None:
    """Whichever comes first stands, and no request is left for the next task of that name."""
    rig.start()
    for number in range(6):
        name = f"task-{number}"
        rig.drop_command(name, f"echo {number} >> log")
        eventually(partial(has_begun, rig, name), what="it begins")
        rig.cli("tasks", "cancel", name)
        result = rig.result(name)
        assert places(rig, name) == [result["state"]]
        assert result["outcome"] in {"succeeded", "cancelled"}
    eventually(lambda: list(rig.pending().iterdir()) == [], what="no request is left")


# Hands in the folders, while a task runs


def lock_deleted(rig: Rig) -> None:
    (rig.pending() / ".task-a.lock").unlink()


def run_record_deleted(rig: Rig) -> None:
    (attempt(rig, "task-a") / "run.json").unlink()


def snapshot_deleted(rig: Rig) -> None:
    (attempt(rig, "task-a") / "task.md").unlink()


def logs_deleted(rig: Rig) -> None:
    shutil.rmtree(rig.queue() / "logs")


def results_deleted(rig: Rig) -> None:
    shutil.rmtree(rig.queue() / "results")


def completed_deleted(rig: Rig) -> None:
    shutil.rmtree(rig.queue() / "completed")


def lock_and_logs_deleted(rig: Rig) -> None:
    shutil.rmtree(rig.queue() / "logs")
    attempt(rig, "task-a").mkdir(parents=True)  # as the runner's transcript may bring it back
    lock_deleted(rig)


HARMLESS = [
    lock_deleted,
    run_record_deleted,
    snapshot_deleted,
    logs_deleted,
    results_deleted,
    completed_deleted,
    lock_and_logs_deleted,
]


@pytest.mark.parametrize("hand", HARMLESS)
def test_what_a_hand_deletes_while_it_runs_changes_nothing(rig: Rig, hand: Callable[[Rig], None]) -> None:
    """The task goes on, ends once, and its result and document are where they belong."""
    rig.start()
    rig.drop_command("task-a", UNTIL_TOLD)
    rig.started("log")
    hand(rig)
    rig.drop_command("task-b", "echo b >> log")  # makes the daemon look
    (rig.workspace / "go").touch()

    result = rig.result("task-a")
    rig.result("task-b")
    assert (result["outcome"], len(result["attempts"])) == ("succeeded", 1)
    assert places(rig, "task-a") == ["completed"]
    assert rig.side_effects("log") == ["start", "end", "b"]


@pytest.mark.parametrize("hand", [lock_deleted, snapshot_deleted])
def test_the_same_while_no_daemon_lives(rig: Rig, hand: Callable[[Rig], None]) -> None:
    """The next daemon finds the live agent again: one task, one agent."""
    rig.stop(_running(rig), signal.SIGKILL)
    hand(rig)
    rig.start()
    eventually(lambda: rig.state()["sources"]["a"]["task_id"] == "task-a", what="it is adopted")
    (rig.workspace / "go").touch()

    assert rig.result("task-a")["outcome"] == "succeeded"
    assert rig.side_effects("log") == ["start", "end"]


@pytest.mark.parametrize("hand", [run_record_deleted, logs_deleted])
def test_an_agent_that_nothing_tells_of_is_ended(rig: Rig, hand: Callable[[Rig], None]) -> None:
    """Its record is gone and no daemon holds it: its processes are ended, a person decides; no second start."""
    rig.stop(_running(rig), signal.SIGKILL)
    hand(rig)
    rig.start()

    result = rig.result("task-a")
    assert result["outcome"] == "crashed"
    assert rig.marked() == []
    assert rig.side_effects("log") == ["start"]


def test_a_deleted_lock_of_a_dead_agent_is_no_fresh_start(rig: Rig) -> None:
    """Daemon and runner were killed, the lock deleted: the attempt counts as crashed."""
    daemon = _running(rig)
    rig.stop(daemon, signal.SIGKILL)
    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
    lock_deleted(rig)
    rig.start()

    assert rig.result("task-a")["outcome"] == "crashed"
    assert rig.side_effects("log") == ["start"]


def test_a_deleted_ending_is_rebuilt_or_reviewed(rig: Rig) -> None:
    """The outcome was committed, the daemon dead, outcome.json deleted: never a second start."""
    rig.stop(_running(rig), signal.SIGKILL)
    (rig.workspace / "go").touch()
    ending = attempt(rig, "task-a") / "outcome.json"
    eventually(ending.exists, what="the runner commits")
    eventually(lambda: not rig.marked(), what="the runner is gone")
    ending.unlink()
    rig.start()

    rig.result("task-a")
    assert rig.side_effects("log") == ["start", "end"]
    assert len(places(rig, "task-a")) == 1


@pytest.mark.parametrize("where", ["nowhere", "away", "completed", "failed"])
def test_a_document_taken_away_while_it_runs(rig: Rig, where: str) -> None:
    """What ran is filed from its copy with a note; a document moved to the wrong place is put right."""
    rig.start()
    rig.drop_command("task-a", UNTIL_TOLD)
    rig.started("log")
    document = rig.pending() / "task-a.md"
    (rig.home / "away").mkdir()
    match where:
        case "nowhere":
            document.unlink()
        case "away":
            document.rename(rig.home / "away" / "task-a.md")
        case _:
            document.rename(rig.queue() / where / "task-a.md")
    (rig.workspace / "go").touch()

    result = rig.result("task-a")
    assert result["outcome"] == "succeeded"
    assert places(rig, "task-a") == ["completed"]
    assert any("deleted while the task ran" in note for note in result["notes"]) == (
        where in {"nowhere", "away"}
    )
    assert rig.side_effects("log") == ["start", "end"]


def test_the_whole_pending_folder_deleted_while_it_runs(rig: Rig) -> None:
    """The task still ends with a result, and the folder comes back."""
    rig.start()
    rig.drop_command("task-a", UNTIL_TOLD)
    rig.started("log")
    shutil.rmtree(rig.pending())
    (rig.workspace / "go").touch()

    assert rig.result("task-a")["outcome"] == "succeeded"
    rig.drop_command("task-b", "true")
    assert rig.result("task-b")["success"]


def test_a_file_in_the_place_of_completed_stops_the_source_until_it_is_gone(rig: Rig) -> None:
    """The reason is told; the ending waits; nothing is overwritten."""
    rig.start()
    rig.drop_command("task-a", UNTIL_TOLD)
    rig.started("log")
    (rig.queue() / "completed").rmdir()
    (rig.queue() / "completed").write_text("mine")
    (rig.workspace / "go").touch()
    eventually(
        lambda: "not a folder" in (rig.state()["sources"]["a"]["why"] or ""), what="the trouble is told"
    )
    kept = (rig.queue() / "completed").read_text()
    (rig.queue() / "completed").unlink()

    assert rig.result("task-a")["success"]
    assert kept == "mine"
    assert rig.side_effects("log") == ["start", "end"]


# Hands in the folders, while a task waits or has ended


@pytest.mark.parametrize("where", ["nowhere", "away"])
def test_a_document_taken_away_while_it_waits(rig: Rig, where: str) -> None:
    """It never runs and leaves nothing."""
    rig.start()
    rig.drop_command("task-1", UNTIL_TOLD)
    rig.started("log")
    rig.drop_command("task-2", "echo never >> log2")
    (rig.home / "away").mkdir()
    if where == "nowhere":
        (rig.pending() / "task-2.md").unlink()
    else:
        (rig.pending() / "task-2.md").rename(rig.home / "away" / "task-2.md")
    (rig.workspace / "go").touch()
    rig.result("task-1")
    rig.drop_command("task-3", "true")
    rig.result("task-3")

    assert places(rig, "task-2") == []
    assert rig.side_effects("log2") == []


def test_a_document_taken_away_while_it_waits_for_a_retry(rig: Rig) -> None:
    """Its history is put into logs/, so a new task of that name has a fresh one; numbers only grow."""
    rig.start()
    rig.drop_command("task-a", "exit 1", retry_delay="1h")
    journal = rig.pending() / ".task-a.attempts.json"
    eventually(journal.exists, what="it waits for its retry")
    (rig.pending() / "task-a.md").unlink()
    eventually(lambda: not journal.exists(), timeout=40, what="the history is put away")
    rig.drop_command("task-a", "true")

    assert [a["number"] for a in rig.result("task-a")["attempts"]] == [2]
    assert len(list((rig.queue() / "logs").glob("task-a.attempts.json.*"))) == 1


def test_a_document_moved_from_failed_to_pending_is_a_new_record(rig: Rig) -> None:
    """The older result stays; the new one has a number."""
    rig.start()
    rig.drop_command("task-a", "echo ran >> log; [ -e go ]", max_attempts=1)
    first = rig.result("task-a")
    (rig.workspace / "go").touch()
    (rig.queue() / "failed" / "task-a.md").rename(rig.pending() / "task-a.md")

    second = rig.result("task-a.2")
    assert (first["state"], second["state"]) == ("failed", "completed")
    assert (rig.queue() / "results" / "task-a.json").exists()
    assert rig.side_effects("log") == ["ran", "ran"]


def test_a_retry_without_a_result_goes_on_counting(rig: Rig) -> None:
    """results/ was emptied: the numbers come from logs/."""
    rig.start()
    rig.drop_command("task-a", "[ -e go ]", max_attempts=1)
    rig.result("task-a")
    shutil.rmtree(rig.queue() / "results")
    (rig.workspace / "go").touch()
    rig.cli("tasks", "retry", "task-a", check=True)

    assert [a["number"] for a in rig.result("task-a")["attempts"]] == [2]


def test_a_request_without_its_task_does_not_hit_the_next(rig: Rig) -> None:
    """A stray cancel is cleared away."""
    (rig.pending() / ".task-a.cancel").write_text("{}\n")
    rig.start()
    eventually(lambda: list(rig.pending().iterdir()) == [], timeout=40, what="it is cleared away")
    rig.drop_command("task-a", "true")

    assert rig.result("task-a")["success"]


def _running(rig: Rig) -> Process:
    daemon = rig.start()
    rig.drop_command("task-a", UNTIL_TOLD)
    rig.started("log")
    rig.run_record("task-a")
    return daemon
