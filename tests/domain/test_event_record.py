"""Events to records and back."""

from __future__ import annotations

import json
import typing
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from task_queue.domain import events
from task_queue.domain.attempt.figures import TaskFigures
from task_queue.domain.event_record import ABOUT, EventRecord, event_types, record_of, type_of
from task_queue.domain.events import Event
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from tests.daemon.test_log import SAMPLES


@pytest.mark.parametrize("event", [event for event, _, _ in SAMPLES], ids=lambda event: type(event).__name__)
def test_each_event_is_plain_json(event: Event) -> None:
    """With every kind of field: states, times, durations, lists, mappings, nothing."""
    data = record_of(event).data
    own = {field.name for field in fields(event)} - {*ABOUT}

    assert json.loads(json.dumps(data)) == data
    assert set(data) == own


def test_what_an_event_is_about_stands_beside_its_data() -> None:
    at = datetime(2026, 2, 7, tzinfo=UTC)

    assert record_of(events.TaskLimited("web", TaskId("task-a"), 2, "limit", at)) == EventRecord(
        "limited", {"reason": "limit", "resets_at": "2026-02-07T00:00:00+00:00"}, "web", "task-a", 2
    )
    assert record_of(events.DaemonStopped(7)) == EventRecord("daemon_stopped", {"pid": 7})


def test_states_and_durations_become_plain() -> None:
    event = events.TaskSettled(
        "web", TaskId("task-a"), 1, TaskState.FAILED, OutcomeKind.TIMED_OUT, "too long",
        took=timedelta(milliseconds=1500), turns=3, cost_usd=None, dead_letter=True,
        attention=("dead_letter",), figures=TaskFigures("review", ran=timedelta(seconds=1)),
    )  # fmt: skip

    data = dict(record_of(event).data)
    figures = data.pop("figures")
    assert data == {
        "state": "failed", "outcome": "timed_out", "reason": "too long", "took": 1.5, "turns": 3,
        "cost_usd": None, "dead_letter": True, "attention": ["dead_letter"],
    }  # fmt: skip
    assert (figures["task_type"], figures["ran"], figures["model"]) == ("review", 1.0, None)
    assert type(data["state"]) is str


def test_types_are_unique_and_say_what_they_are_about_once() -> None:
    kinds = typing.get_args(Event)

    assert len(set(event_types())) == len(kinds)
    assert type_of(events.TaskSettled) == "settled"
    assert type_of(events.FileIgnored) == "file_ignored"
    assert all(not {"type", "seq", "at"} & {each.name for each in fields(kind)} for kind in kinds)
