"""Recurring tasks through the real daemon."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.rig import Rig
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(110)


def write(rig: Rig, name: str, schedule: str, *keys: str) -> Path:
    folder = rig.queue() / "schedules"
    folder.mkdir(mode=0o700, exist_ok=True)
    front = "\n".join(("---", f"schedule: '{schedule}'", "executor: sh", *keys, "---", ""))
    path = folder / f"{name}.md"
    path.write_text(f"{front}echo {name} >> ran\n")
    return path


def known_since(rig: Rig, name: str, schedule: str, since: datetime) -> None:
    """As if a daemon had served it until then."""
    line = {"what": "begins", "name": name, "rule": schedule, "since": since.isoformat(), "why": ""}
    with (rig.queue() / "schedules" / ".ledger.jsonl").open("a") as ledger:
        ledger.write(f"{json.dumps(line)}\n")


def said(rig: Rig, kind: str) -> list[dict[str, Any]]:
    lines = rig.cli("events", "--json").stdout.splitlines()
    return [event for event in map(json.loads, lines) if event["type"] == kind]


def test_what_came_due_without_a_daemon_runs_once(rig: Rig) -> None:
    """Of three days one is made up for, the others are said to be missed; a crash of the daemon changes nothing."""
    write(rig, "nightly", "30 2 * * *", "timezone: UTC", "priority: 7")
    known_since(rig, "nightly", "30 2 * * * UTC", datetime.now(UTC) - timedelta(days=3, minutes=10))
    daemon = rig.start()
    fired = eventually(lambda: said(rig, "schedule_fired"), what=f"it comes due; {rig.errors()}")
    task_id = fired[0]["task_id"]
    result = rig.result(task_id)
    daemon.kill()
    daemon.wait()
    rig.start()
    rig.cli("schedules", "run", "nightly", check=True)
    eventually(lambda: len(rig.side_effects("ran")) > 1, what="the one by hand has run")

    assert result["success"] is True
    assert (len(said(rig, "schedule_fired")), rig.side_effects("ran")) == (1, ["nightly"] * 2)
    assert fired[0]["data"]["why"] == "late: no daemon ran"
    assert [event["data"]["count"] for event in said(rig, "schedule_missed")] == [2]
    document = rig.queue() / "completed" / f"{task_id}.md"
    assert document.read_text() == "---\nexecutor: sh\npriority: 7\n---\necho nightly >> ran\n"
    told = rig.json("schedules", "list")["schedules"][0]["told"]
    assert [each["what"] for each in told] == ["by_hand", "fired", "missed"]


def test_a_broken_schedule_needs_attention_and_harms_no_other(rig: Rig) -> None:
    broken = write(rig, "broken", "every day")
    write(rig, "good", "0 12 * * *")
    known_since(rig, "good", "0 12 * * *", datetime.now(UTC) - timedelta(days=2))
    rig.start()
    eventually(lambda: rig.side_effects("ran"), what=f"the other one runs; {rig.errors()}")
    status = rig.json("status")

    assert [each["kind"] for each in status["attention"]] == ["schedule"]
    assert "line 2: schedule: must be five fields" in status["attention"][0]["sentence"]
    assert status["sources"][0]["next_schedule"] == "good"
    assert [event["data"]["schedule"] for event in said(rig, "schedule_broken")] == ["broken"]
    assert rig.cli("schedules", "list").returncode == 3
    assert "schedule 'broken'" in rig.cli("doctor").stdout
    broken.unlink()
    assert rig.json("status")["attention"] == []


def test_run_begins_what_is_due_and_waits_for_nothing_that_will_be(rig: Rig) -> None:
    write(rig, "nightly", "30 2 * * *")
    known_since(rig, "nightly", "30 2 * * *", datetime.now(UTC) - timedelta(days=2))

    done = rig.cli("run", "--drain")

    assert done.returncode == 0, done.stderr
    assert rig.side_effects("ran") == ["nightly"]
