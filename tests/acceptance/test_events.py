"""The event log of the real daemon and its runners, read by the real command."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.acceptance.rig import Rig
from tests.disks import memory_disk
from tests.waiting import eventually


def events_of(rig: Rig, *options: str) -> list[dict[str, Any]]:
    done = rig.cli("events", "--json", *options, check=True)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def types_of(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def state_folder(rig: Rig) -> Any:
    (found,) = rig.home.glob(".local/state/task-queue/*")
    return found


def test_a_task_tells_its_whole_life_across_a_restart(rig: Rig) -> None:
    """Its first attempt fails, the daemon restarts, the second succeeds; each event has its cursor."""
    daemon = rig.start()
    rig.drop_command(
        "task-a", "[ -e again ] && exit 0; touch again; exit 1", max_attempts=2, retry_delay="6s"
    )
    eventually(lambda: "released" in types_of(events_of(rig)), what="the first attempt has ended")
    before = events_of(rig)
    rig.stop(daemon)
    daemon = rig.start()
    rig.result("task-a")
    rig.stop(daemon)

    events = events_of(rig)
    assert types_of(events_of(rig, "--task", "task-a")) == [
        "dropped",
        "claimed", "attempt_started", "phase_started", "phase_ended", "released",
        "claimed", "attempt_started", "phase_started", "phase_ended", "settled",
    ]  # fmt: skip
    assert [t for t in types_of(events) if t.startswith(("daemon", "source"))] == [
        "daemon_started", "source_opened", "source_closed", "daemon_stopped",
    ] * 2  # fmt: skip
    assert events_of(rig, "--after", before[-1]["cursor"]) == events[len(before) :]
    released, settled = (next(e for e in events if e["type"] == name) for name in ("released", "settled"))
    assert (released["attempt"], released["data"]["counted"], released["data"]["outcome"]) == (
        1,
        True,
        "failed",
    )
    assert (settled["attempt"], settled["data"]["state"], settled["source"]) == (2, "completed", "a")
    assert len({event["cursor"] for event in events}) == len(events)


def test_what_people_do_is_in_the_log(rig: Rig) -> None:
    """Adding, cancelling, retrying, pausing, stopping: with or without a daemon, and no text of a task."""
    task_id = rig.cli("tasks", "add", "--source", "a", "# Wish\n\nA secret one.", check=True).stdout.strip()
    rig.cli("tasks", "cancel", task_id, check=True)
    rig.cli("sources", "pause", "--source-id", "a", check=True)
    daemon = rig.start()
    rig.cli("sources", "resume", "--source-id", "a", check=True)
    rig.result(task_id)
    rig.cli("tasks", "retry", task_id, check=True)
    rig.cli("stop", "--now", check=True)
    rig.cli("resume", check=True)
    eventually(lambda: "queue_resumed" in types_of(events_of(rig)), what="the daemon has noticed")
    rig.stop(daemon)

    events = events_of(rig)
    acts = [event for event in events if event["type"] == "person_acted"]
    assert [event["data"]["command"] for event in acts] == [
        "tasks add", "tasks cancel", "sources pause", "sources resume", "tasks retry", "stop", "resume",
    ]  # fmt: skip
    assert [event["task_id"] for event in acts[:2]] == [task_id] * 2
    assert acts[5]["data"]["options"] == {"now": True}
    assert {
        "cancel_asked", "source_resumed", "retried", "queue_stopped", "queue_resumed",
    } <= set(types_of(events))  # fmt: skip
    assert "secret" not in json.dumps(events)


@pytest.mark.long
def test_a_document_is_dropped_once_however_often_the_daemon_starts(rig: Rig) -> None:
    """It waits through an orderly stop and a kill; another one of its name is another drop."""
    rig.drop_command("task-later", "true", not_before="2099-01-01T00:00:00")
    for end, result in (("stop", "task-stop"), ("kill", "task-kill"), ("stop", "task-stop.2")):
        daemon = rig.start()
        eventually(lambda: "dropped" in types_of(events_of(rig)), what="it was seen")
        rig.drop_command(f"task-{end}", "true")
        rig.result(result)
        if end == "stop":
            rig.stop(daemon)
        else:
            daemon.kill()
            daemon.wait()

    assert types_of(events_of(rig, "--task", "task-later")) == ["dropped"]
    assert types_of(events_of(rig, "--task", "task-kill")).count("dropped") == 1
    assert types_of(events_of(rig, "--task", "task-stop")).count("dropped") == 2


def test_an_edit_while_it_runs_is_told(rig: Rig) -> None:
    daemon = rig.start()
    rig.drop_command("task-a", "while [ ! -e go ]; do sleep 0.05; done")
    eventually(lambda: "attempt_started" in types_of(events_of(rig)), what="it runs")
    rig.drop_command("task-a", "echo newer")
    (rig.workspace / "go").touch()
    rig.result("task-a")
    rig.stop(daemon)
    (edited,) = events_of(rig, "--type", "edited")

    assert (edited["task_id"], edited["attempt"], edited["data"]) == (
        "task-a",
        1,
        {"kept_as": "edited-task-a.md"},
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_log_that_cannot_be_written_does_not_stop_a_task(rig: Rig) -> None:
    """Its folder is on a read-only disk, and writable again later: one event says how many are lost.

    The last event of the task may come before or after the disk has gone.
    """
    daemon = rig.start()
    folder = state_folder(rig) / "events"
    with memory_disk(folder, "ro"):
        rig.drop_command("task-a", "true")
        assert rig.result("task-a")["success"]
    rig.drop_command("task-b", "true")
    rig.result("task-b")
    rig.stop(daemon)

    events = events_of(rig)
    (lost,) = [event for event in events if event["type"] == "events_lost"]
    kept = [event["type"] for event in events if event["task_id"] == "task-a"]
    # Dropped, claimed, settled; what its runner lost went with it.
    assert (lost["data"]["count"], kept) in [(3, []), (2, ["settled"])]
    assert [event["task_id"] for event in events if event["type"] == "settled"][-1] == "task-b"
