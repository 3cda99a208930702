"""What ended, the newest first: told by the event log, in the words of the results that are still there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from task_queue.app.history import history
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.event_record import record_of
from task_queue.domain.events import TaskClaimed, TaskSettled
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from task_queue.store.event_log import EventLog
from tests.app.bench import Bench

DONE = TaskSettled(
    source="ad-hoc",
    task_id=TaskId("task-done"),
    attempt=1,
    state=TaskState.COMPLETED,
    outcome=OutcomeKind.SUCCEEDED,
    reason="it is done",
    took=timedelta(minutes=3),
    turns=4,
    cost_usd=0.25,
    dead_letter=False,
)
BROKEN = replace(
    DONE,
    task_id=TaskId("task-broken"),
    state=TaskState.FAILED,
    outcome=OutcomeKind.VERIFY_FAILED,
    reason="pytest -q failed\n3 failed",
    attention=("failed",),
)


class Log:
    """Each event an hour after the one before, the last one now."""

    def __init__(self, bench: Bench, *events: TaskSettled) -> None:
        self.bench = bench
        self.at = bench.clock.now() - timedelta(hours=len(events) - 1)
        log = EventLog(bench.installation.locations.events, now=self._now)
        for event in events:
            log.append(record_of(TaskClaimed(event.source, event.task_id, event.attempt, resumes=False)))
            log.append(record_of(event))
            self.at += timedelta(hours=1)
        log.close()

    def _now(self) -> datetime:
        return self.at

    def told(self, **filters: Any) -> list[tuple[str, str]]:
        return [(task.task_id, str(task.ending)) for task in history(self.bench.anew(), **filters).tasks]


def test_the_newest_comes_first_with_its_cause_in_one_line(bench: Bench) -> None:
    log = Log(bench, DONE, BROKEN)

    view = history(bench.anew())

    assert log.told() == [("task-broken", "verify_failed: pytest -q failed"), ("task-done", "succeeded")]
    assert [(task.cost_usd, task.took_s, task.attention) for task in view.tasks] == [
        (0.25, 180.0, ("failed",)),
        (0.25, 180.0, ()),
    ]
    assert not view.more


def test_what_only_the_result_says_is_told_of_the_last_end(bench: Bench) -> None:
    """Title and landing; an earlier end of the same task has none, nor one whose result is another by now."""
    bench.place("completed", "task-done", "# Mend it\n")
    result = {"success": True, "outcome": "succeeded", "branch": "task-queue/task-done", "commits": ["a"]}
    result["landing"] = {"state": "landed", "target": "main"}
    bench.write(bench.layout().result(TaskId("task-done")), result)
    failed = replace(BROKEN, task_id=DONE.task_id)
    Log(bench, failed, replace(DONE, attempt=2))

    new, old = history(bench.anew()).tasks

    assert (new.title, str(new.ending)) == ("Mend it", "succeeded, landed on main")
    assert (old.title, str(old.ending)) == ("", "verify_failed: pytest -q failed")


def test_an_end_that_was_told_twice_is_one(bench: Bench) -> None:
    """By a daemon that was killed while it settled, and by the next one."""
    assert len(Log(bench, DONE, DONE).told()) == 1
    assert len(Log(bench, replace(DONE, attempt=2)).told()) == 2


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"text": "BROK"}, ["task-broken"]),
        ({"text": "pytest"}, ["task-broken"]),
        ({"text": "Ärger"}, ["task-ärger"]),
        ({"text": "nowhere"}, []),
        ({"outcomes": ["verify_failed"]}, ["task-broken"]),
        ({"outcomes": ["completed"]}, ["task-ärger", "task-done"]),
        ({"outcomes": ["failed", "succeeded"]}, ["task-ärger", "task-broken", "task-done"]),
        ({"source_id": "planned"}, ["task-ärger"]),
        ({"source_id": "ad-hoc", "outcomes": ["completed"]}, ["task-done"]),
        ({"limit": 1}, ["task-ärger"]),
    ],
)
def test_filters(bench: Bench, filters: dict[str, Any], found: list[str]) -> None:
    trouble = replace(DONE, source="planned", task_id=TaskId("task-ärger"))
    log = Log(bench, DONE, BROKEN, trouble)

    assert [task_id for task_id, _ in log.told(**filters)] == found


def test_since_is_a_moment(bench: Bench) -> None:
    log = Log(bench, DONE, BROKEN)

    assert len(log.told(since=bench.clock.now() - timedelta(hours=1))) == 2
    assert len(log.told(since=bench.clock.now() - timedelta(minutes=59))) == 1
    assert log.told(since=bench.clock.now() + timedelta(seconds=1)) == []


def test_the_limit_says_that_there_are_more(bench: Bench) -> None:
    Log(bench, DONE, BROKEN)

    assert history(bench.anew(), limit=1).more
    assert not history(bench.anew(), limit=2).more


@pytest.mark.parametrize("filters", [{"outcomes": ["fine"]}, {"source_id": "nowhere"}])
def test_what_does_not_exist_is_no_filter(bench: Bench, filters: dict[str, Any]) -> None:
    with pytest.raises(TaskQueueError, match="there is no"):
        history(bench.anew(), **filters)


def test_a_result_that_cannot_be_read_is_told_as_the_log_has_it(bench: Bench) -> None:
    bench.layout().result(TaskId("task-broken")).write_text("{")
    log = Log(bench, BROKEN)

    assert log.told() == [("task-broken", "verify_failed: pytest -q failed")]


def test_pages_follow_each_other_without_a_gap_and_without_a_double(bench: Bench) -> None:
    """Also over segments of the log, and while more ends."""
    ends = [replace(DONE, task_id=TaskId(f"task-{number:02}")) for number in range(23)]
    Log(bench, *ends)
    seen: list[str] = []
    before: int | None = None
    for _ in range(9):
        page = history(bench.anew(), limit=5, before=before)
        seen += [task.task_id for task in page.tasks]
        before = page.before
        if before is None:
            break
        Log(bench, replace(DONE, task_id=TaskId(f"task-late-{len(seen)}")))

    assert seen == [f"task-{number:02}" for number in reversed(range(23))]
    assert before is None


def test_only_what_is_seen_is_told(bench: Bench) -> None:
    Log(bench, DONE, BROKEN)
    view = history(bench.anew(), limit=1, sees=lambda source, task: (source, task) == ("ad-hoc", "task-done"))

    assert [task.task_id for task in view.tasks] == ["task-done"]
    assert (view.more, view.before) == (False, None)
