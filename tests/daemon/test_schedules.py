"""The thread that looks at schedules: when it looks again, and what it says of what cannot be used."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from task_queue.config import schema
from task_queue.daemon.schedules import DueTasks
from task_queue.domain.events import Event, ScheduleBroken, ScheduleFired
from tests.fakes import FakeClock
from tests.waiting import eventually


class DueTasksBench:
    """Two sources, a and b, whose queues are in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = folder / "config.json"
        sources = [{"id": name, "path": str(folder / name / "pending")} for name in "ab"]
        config.write_text(
            json.dumps(
                {
                    "version": "2.1",
                    "project_workspace": "/",
                    "settle_seconds": 0,
                    "task_source_directories": sources,
                }
            )
        )
        for name in "ab":
            for part in ("pending", "staging", "schedules"):
                (folder / name / part).mkdir(parents=True, mode=0o700)
        self.config = schema.load(config)
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.arrived: list[tuple[str, str, bool]] = []
        self.due_tasks = DueTasks(
            lambda: self.config,
            arrived=lambda *what: self.arrived.append(what),
            clock=self.clock,
            emit=self.events.append,
        )

    def write(self, source: str, name: str, schedule: str = "5 * * * *", zone: str = "UTC") -> Path:
        path = self.folder / source / "schedules" / f"{name}.md"
        path.write_text(f"---\nschedule: '{schedule}'\ntimezone: {zone}\noverlap: queue\n---\nDo it.\n")
        return path


@pytest.fixture
def bench(tmp_path: Path) -> DueTasksBench:
    return DueTasksBench(tmp_path)


def test_it_looks_again_when_the_next_time_comes_and_never_much_later(bench: DueTasksBench) -> None:
    """The clock may be set, and stands still for no suspended machine: after a minute it looks anyway."""
    bench.write("a", "x")
    waits = [bench.due_tasks.look()]
    bench.clock.advance(4 * 60 + 50)
    waits.append(bench.due_tasks.look())
    bench.clock.advance(10)
    waits.append(bench.due_tasks.look())

    assert waits == [60.0, 10.0, 60.0]
    assert [(source, arrived) for source, _, arrived in bench.arrived] == [("a", True)]


def test_a_name_that_two_sources_have_leads_to_two_ids(bench: DueTasksBench) -> None:
    bench.write("a", "x")
    bench.write("b", "x")
    bench.due_tasks.look()
    bench.clock.advance(300)
    bench.due_tasks.look()
    first, second = (event.task_id for event in bench.events if isinstance(event, ScheduleFired))

    assert second == f"{first}-2"
    assert [source for source, _, _ in bench.arrived] == ["a", "b"]


def test_what_cannot_be_used_is_said_once(bench: DueTasksBench) -> None:
    """A source without its folders, a broken file and a ledger that cannot be read; the other source goes on."""
    bench.write("a", "broken", schedule="soon")
    bench.write("b", "x")
    for _ in range(3):
        bench.due_tasks.look()
    ledger = bench.folder / "a" / "schedules" / ".ledger.jsonl"
    ledger.write_text("{}\n")
    bench.write("a", "y")
    bench.clock.advance(300)
    for _ in range(3):
        bench.due_tasks.look()

    said = [event for event in bench.events if isinstance(event, ScheduleBroken)]
    assert [event.schedule for event in said] == ["broken", ""]
    assert str(ledger) in said[1].why
    assert [source for source, _, _ in bench.arrived] == ["b"]


def test_a_time_comes_due_in_the_thread(bench: DueTasksBench) -> None:
    bench.write("a", "x")
    bench.due_tasks.start()
    bench.clock.time += timedelta(minutes=5)
    bench.due_tasks.look_soon()
    eventually(lambda: bench.arrived, what="its task is in the queue")
    bench.due_tasks.stop()

    assert list((bench.folder / "a" / "pending").glob("task-*-x.md"))
