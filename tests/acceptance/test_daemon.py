"""The real daemon with command tasks: order, crashes, stops, cancels, reloads. No model is needed for these."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.processes import runs
from tests.sampling import short_and_long
from tests.waiting import eventually

UNTIL_TOLD = "echo start >> log; while [ ! -e go ]; do sleep 0.05; done; echo end >> log"


def test_a_dropped_file_is_done(rig: Rig) -> None:
    """The document moves, the result says what happened, nothing else is left."""
    rig.start()
    rig.drop_command("task-hello", "echo hello; echo done >> log")

    result = rig.result("task-hello")

    assert (result["success"], result["outcome"], result["output"]) == (True, "succeeded", "hello\n")
    assert rig.side_effects("log") == ["done"]
    assert list(rig.pending().iterdir()) == []


def test_tasks_of_one_source_run_one_after_the_other(rig: Rig) -> None:
    """First in, first out, never two at once."""
    for number in (3, 1, 2):
        rig.drop_command(
            f"task-20260207-00000{number}-x", f"echo start {number} >> log; echo end {number} >> log"
        )
    rig.start()
    for number in (1, 2, 3):
        rig.result(f"task-20260207-00000{number}-x")

    assert rig.side_effects("log") == [f"{what} {n}" for n in (1, 2, 3) for what in ("start", "end")]


def test_two_sources_run_in_parallel(make_rig: MakeRig) -> None:
    """Each waits for the other's side effect, so neither can end alone."""
    rig = make_rig(sources=("a", "b"))
    rig.start()
    meet = "echo here >> {mine}; while [ ! -e {other} ]; do sleep 0.02; done"
    rig.drop_command("task-a", meet.format(mine="a.txt", other="b.txt"), source="a")
    rig.drop_command("task-b", meet.format(mine="b.txt", other="a.txt"), source="b")

    assert rig.result("task-a")["success"]
    assert rig.result("task-b", source="b")["success"]


def test_a_killed_daemon_loses_and_repeats_nothing(rig: Rig) -> None:
    """The running program goes on, the next daemon adopts it, its result is filed once."""
    daemon = rig.start()
    rig.drop_command("task-long", UNTIL_TOLD)
    rig.started("log")
    rig.stop(daemon, signal.SIGKILL)
    runner = rig.run_record("task-long")["pid"]
    assert runs(runner)

    rig.start()
    eventually(lambda: rig.state()["sources"]["a"]["task_id"] == "task-long", what="it is adopted")
    (rig.workspace / "go").touch()
    result = rig.result("task-long")

    assert (result["success"], len(result["attempts"])) == (True, 1)
    assert rig.side_effects("log") == ["start", "end"]


def test_an_adopted_task_takes_a_place(make_rig: MakeRig) -> None:
    """What an earlier daemon started counts among the agents at once; the others wait until it has ended."""
    rig = make_rig(sources=("a", "b"), limits={"running": 1, "min_free_mb": 0})
    daemon = rig.start()
    rig.drop_command("task-long", UNTIL_TOLD, source="a")
    rig.started("log")
    rig.run_record("task-long")
    rig.stop(daemon, signal.SIGKILL)

    rig.start()
    eventually(lambda: "task adopted" in rig.daemon_log(), what="it is adopted")
    rig.drop_command("task-b", "echo b >> log", source="b")
    eventually(
        lambda: "all 1 places" in (rig.state()["sources"]["b"]["why"] or ""), what="the other source waits"
    )
    (rig.workspace / "go").touch()

    assert rig.result("task-b", source="b")["success"]
    assert rig.side_effects("log") == ["start", "end", "b"]


def test_a_task_that_ends_while_no_daemon_lives_is_settled_by_the_next(rig: Rig) -> None:
    """Its ending waits on the disk."""
    daemon = rig.start()
    rig.drop_command("task-long", UNTIL_TOLD)
    rig.started("log")
    rig.stop(daemon, signal.SIGKILL)
    (rig.workspace / "go").touch()
    ending = rig.queue() / "logs/task-long/attempt-1/outcome.json"
    eventually(ending.exists, what="the runner commits without a daemon")

    rig.start()

    assert rig.result("task-long")["success"]
    assert rig.side_effects("log") == ["start", "end"]


def test_a_killed_runner_leaves_nothing_running(rig: Rig) -> None:
    """Its tree is swept, a command's crash is counted and goes to a person."""
    rig.start()
    rig.drop_command("task-long", "setsid sleep 1000 & " + UNTIL_TOLD)
    rig.started("log")
    os.kill(rig.run_record("task-long")["pid"], signal.SIGKILL)

    result = rig.result("task-long")

    assert (result["outcome"], result["attempts"][0]["counted"]) == ("crashed", True)
    assert rig.marked() == []


def test_after_a_stop_nothing_runs(rig: Rig) -> None:
    """SIGTERM ends the daemon and what it runs within the grace; the command is not silently run again."""
    daemon = rig.start()
    rig.drop_command("task-long", "setsid sleep 1000 & " + UNTIL_TOLD)
    rig.started("log")

    assert rig.stop(daemon) == 0
    assert rig.marked() == []
    result = rig.result("task-long")
    assert (result["outcome"], result["attempts"][0]["counted"]) == ("interrupted", False)


def test_a_stopped_command_runs_again_where_the_owner_says_so(rig: Rig) -> None:
    """on_lost_session: rerun."""
    daemon = rig.start()
    rig.drop_command("task-long", UNTIL_TOLD, on_lost_session="rerun")
    rig.started("log")
    rig.stop(daemon)
    (rig.workspace / "go").touch()
    rig.start()

    result = rig.result("task-long")
    assert result["success"]
    assert [attempt["outcome"] for attempt in result["attempts"]] == ["interrupted", "succeeded"]


def test_a_cancel_ends_the_whole_tree(rig: Rig) -> None:
    """A background child in a session of its own that ignores SIGTERM included; the command says so when it is done."""
    rig.start()
    rig.drop_command("task-long", "setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" & " + UNTIL_TOLD)
    rig.started("log")

    done = rig.cli("tasks", "cancel", "task-long", check=True)
    result = rig.result("task-long")

    assert rig.marked() == []
    assert result["outcome"] == "cancelled"
    assert "cancelled" in done.stdout
    assert rig.side_effects("log") == ["start"]


def test_a_waiting_task_is_cancelled(make_rig: MakeRig) -> None:
    """It never starts."""
    rig = make_rig()
    rig.drop_command("task-1", UNTIL_TOLD)
    rig.drop_command("task-2", "echo never >> log2")
    rig.start()
    rig.started("log")
    rig.cli("tasks", "cancel", "task-2")
    (rig.workspace / "go").touch()

    assert rig.result("task-2")["outcome"] == "cancelled"
    assert rig.side_effects("log2") == []


def test_a_second_daemon_is_refused(rig: Rig) -> None:
    """It says who serves and ends with 1."""
    daemon = rig.start()

    second = rig.cli("daemon")

    assert second.returncode == 1
    assert f"pid {daemon.pid}" in second.stderr


def test_two_configurations_cannot_serve_one_folder(rig: Rig, make_rig: MakeRig) -> None:
    """The second daemon serves its other sources and says who has this one."""
    rig.start()
    other = make_rig()
    document = json.loads(other.config.read_text())
    document["task_source_directories"].append({"id": "foreign", "path": str(rig.pending())})
    other.config.write_text(json.dumps(document))
    other.start()
    eventually(lambda: other.state()["sources"]["foreign"]["state"] == "unavailable", what="it is refused")

    why = other.state()["sources"]["foreign"]["why"]
    rig.drop_command("task-mine", "true")
    assert "another daemon" in why
    assert rig.result("task-mine")["success"]


def test_a_daemon_stops_nothing_of_a_source_that_another_serves(rig: Rig, make_rig: MakeRig) -> None:
    """Although both configurations give it the same name."""
    rig.start()
    rig.drop_command("task-mine", UNTIL_TOLD)
    rig.started("log")
    other = make_rig(task_source_directories=[{"id": "a", "path": str(rig.pending())}])
    theirs = other.start()
    eventually(lambda: other.state()["sources"]["a"]["state"] == "unavailable", what="it is refused")
    other.stop(theirs)
    (rig.workspace / "go").touch()

    assert rig.result("task-mine")["outcome"] == "succeeded"


def test_a_source_added_to_the_configuration_is_served(rig: Rig) -> None:
    """Without a restart, while the running task goes on undisturbed."""
    rig.start()
    rig.drop_command("task-long", UNTIL_TOLD)
    rig.started("log")
    rig.cli("sources", "add", str(rig.home / "tasks" / "new"), "--id", "new", check=True)
    rig.drop_command("task-new", "true", source="new")

    assert rig.result("task-new", source="new")["success"]
    assert rig.side_effects("log") == ["start"]


def test_a_removed_source_ends_with_its_running_task(rig: Rig) -> None:
    """What runs is not disturbed; what waits is not started any more."""
    rig.start()
    rig.drop_command("task-1-long", UNTIL_TOLD)
    rig.started("log")
    rig.drop_command("task-2-waits", "echo never >> log2")
    rig.cli("sources", "rm", "--source-id", "a", check=True)
    eventually(lambda: rig.state()["sources"]["a"]["state"] == "closing", what="it is seen")
    (rig.workspace / "go").touch()

    assert rig.result("task-1-long")["success"]
    eventually(lambda: rig.state()["sources"] == {}, what="the source is closed")
    assert rig.side_effects("log2") == []


def test_a_broken_configuration_changes_nothing(rig: Rig) -> None:
    """The daemon goes on under the earlier one and says what is wrong; the file is not touched."""
    rig.start()
    rig.config.write_text('{"version": "2.1", oops')
    eventually(lambda: rig.state()["config_error"], what="the error is told")
    rig.drop_command("task-a", "true")

    assert rig.result("task-a")["success"]
    assert "line 1, column" in rig.state()["config_error"]
    assert rig.config.read_text() == '{"version": "2.1", oops'


@pytest.mark.parametrize("how", short_and_long(["replaced"], ["deleted", "renamed"]))
def test_a_pending_folder_that_comes_back_is_served(rig: Rig, how: str) -> None:
    """Deleted and made anew, replaced by another, renamed away: within five seconds."""
    rig.start()
    rig.drop_command("task-before", "true")
    rig.result("task-before")
    match how:
        case "deleted":
            shutil.rmtree(rig.pending())
            rig.pending().mkdir(exist_ok=True)  # the daemon may be faster
        case "replaced":
            other = rig.queue() / "other"
            other.mkdir(mode=0o700)
            rig.pending().rename(rig.queue() / "old")
            other.rename(rig.pending())
        case _:
            rig.pending().rename(rig.queue() / "away")
            (rig.queue() / "away").rename(rig.pending())
    rig.drop_command("task-after", "true")

    assert rig.result("task-after", timeout=10)["success"]


def test_a_missing_workspace_holds_the_source_until_it_is_there(rig: Rig) -> None:
    """No task fails for it; the reason is shown."""
    shutil.rmtree(rig.workspace)
    rig.start()
    rig.drop_command("task-a", "true")
    eventually(lambda: rig.state()["sources"]["a"]["why"], what="the trouble is told")
    why = rig.state()["sources"]["a"]["why"]
    rig.workspace.mkdir()

    result = rig.result("task-a")
    assert "does not exist" in why
    assert result["success"]
    assert sum(attempt["counted"] for attempt in result["attempts"]) == 1


def test_a_task_that_names_a_bad_workspace_is_rejected(rig: Rig) -> None:
    """That is the task's own fault, and costs nothing."""
    rig.start()
    rig.drop_command("task-a", "true", workspace="nowhere")

    result = rig.result("task-a")
    assert result["outcome"] == "rejected"
    assert "does not exist" in result["error"]


def test_a_file_written_slowly_runs_whole(rig: Rig) -> None:
    """Written in place, bit by bit: it is not claimed before the writer has closed it."""
    rig.start()
    rig.drop_command("task-other", "true")
    with (rig.pending() / "task-slow.md").open("w") as file:
        file.write("---\nexecutor: sh\n---\necho one >> log\n")
        file.flush()
        rig.result("task-other")
        file.write("echo two >> log\n")

    assert rig.result("task-slow")["success"]
    assert rig.side_effects("log") == ["one", "two"]


def test_an_editor_that_saves_by_rename_is_understood(rig: Rig) -> None:
    """The file that is there when the task is claimed is what runs."""
    blocker = rig.drop_command("task-1", UNTIL_TOLD)
    rig.drop_command("task-2", "echo old >> log2")
    rig.start()
    rig.started("log")
    swap: Path = rig.pending() / ".task-2.md.swp"
    swap.write_text("---\nexecutor: sh\n---\necho new >> log2\n")
    swap.rename(rig.pending() / "task-2.md")
    (rig.workspace / "go").touch()

    rig.result(blocker)
    assert rig.result("task-2")["success"]
    assert rig.side_effects("log2") == ["new"]


@pytest.mark.parametrize("how", short_and_long([("--now",)], [((),)]))
def test_stop_ends_everything_until_resume(rig: Rig, how: tuple[str, ...]) -> None:
    """Nothing runs and nothing starts, not even after a restart; resume goes on where it was."""
    daemon = rig.start()
    rig.drop_command("task-1", UNTIL_TOLD, on_lost_session="rerun")
    rig.started("log")
    said = rig.cli("stop", *how, check=True).stdout
    left = rig.marked()
    rig.stop(daemon)
    (rig.workspace / "go").touch()
    rig.start()
    rig.drop_command("task-2", "echo two >> log2")
    eventually(lambda: rig.state()["sources"]["a"]["why"], what="the stop is told")
    while_stopped = rig.side_effects("log2")
    rig.cli("resume", check=True)

    assert said == "stopped: nothing runs; go on with: task-queue resume\n"
    assert (left, while_stopped) == ([], [])
    assert rig.result("task-1")["success"]
    assert rig.result("task-2")["success"]
