"""Events to records and back."""

from __future__ import annotations

import json
import typing
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from task_queue.domain import events
from task_queue.domain.event_record import EventRecord, event_of, event_types, record_of, type_of
from task_queue.domain.events import Event
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from tests.daemon.test_log import SAMPLES


@pytest.mark.parametrize("event", [event for event, _, _ in SAMPLES], ids=lambda event: type(event).__name__)
def test_each_event_survives_json(event: Event) -> None:
    """With every kind of field: states, times, durations, lists, mappings, nothing."""
    record = record_of(event)
    data = json.loads(json.dumps(record.data))

    assert event_of(EventRecord(record.type, data, record.source, record.task_id, record.attempt)) == event


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
        attention=("dead_letter",),
    )  # fmt: skip

    data = record_of(event).data
    assert data == {
        "state": "failed", "outcome": "timed_out", "reason": "too long", "took": 1.5, "turns": 3,
        "cost_usd": None, "dead_letter": True, "attention": ["dead_letter"],
    }  # fmt: skip
    assert type(data["state"]) is str


def test_a_settled_event_of_an_earlier_release_has_no_attention() -> None:
    """A kind that only a later release knows is kept as it is."""
    data = {
        "state": "failed", "outcome": "failed", "reason": "", "took": 1, "turns": 1, "cost_usd": None,
        "dead_letter": False,
    }  # fmt: skip
    earlier = event_of(EventRecord("settled", data, "web", "task-a", 1))
    later = event_of(EventRecord("settled", {**data, "attention": ["newer"]}, "web", "task-a", 1))

    assert isinstance(earlier, events.TaskSettled)
    assert isinstance(later, events.TaskSettled)
    assert (earlier.attention, later.attention) == ((), ("newer",))


def test_types_are_unique_and_say_what_they_are_about_once() -> None:
    kinds = typing.get_args(Event)

    assert len(set(event_types())) == len(kinds)
    assert type_of(events.TaskSettled) == "settled"
    assert type_of(events.FileIgnored) == "file_ignored"
    assert all(not {"type", "seq", "at"} & {each.name for each in fields(kind)} for kind in kinds)


@pytest.mark.parametrize(
    "record",
    [
        EventRecord("something_new", {}),
        EventRecord("settled", {}, "web", "task-a", 1),
        EventRecord("daemon_stopped", {"pid": "seven"}),
        EventRecord("limited", {"reason": "x", "resets_at": "soon"}, "web", "task-a", 1),
        EventRecord(
            "released", {"outcome": "odd", "reason": "", "counted": True, "delay": 0}, "web", "task-a", 1
        ),
    ],
    ids=["unknown type", "missing fields", "another type of value", "no time", "unknown word"],
)
def test_a_record_of_another_shape_is_none(record: EventRecord) -> None:
    assert event_of(record) is None


def test_later_keys_are_left_out() -> None:
    assert event_of(EventRecord("daemon_stopped", {"pid": 7, "later": 1})) == events.DaemonStopped(7)
