"""Counts, times and costs of what ended: by the event log, by summaries of its segments, and the same by both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from task_queue.app.statistics import StatsView, statistics
from task_queue.cli.answer_json import as_json
from task_queue.domain.attempt.figures import TaskFigures
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.event_record import EventRecord, record_of
from task_queue.domain.events import AccountPaused, AccountResumed, Event, TaskLimited, TaskSettled
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from task_queue.store.event_log import EventLog
from tests.app.bench import Bench

FIGURES = TaskFigures(
    task_type="coding",
    executor="claude",
    model="opus",
    waited=timedelta(seconds=30),
    ran=timedelta(minutes=2),
    attempts=1,
    limited=0,
    input_tokens=1000,
    output_tokens=100,
)
DONE = TaskSettled(
    source="ad-hoc",
    task_id=TaskId("task-0"),
    attempt=1,
    state=TaskState.COMPLETED,
    outcome=OutcomeKind.SUCCEEDED,
    reason="",
    took=timedelta(minutes=3),
    turns=4,
    cost_usd=0.25,
    dead_letter=False,
    figures=FIGURES,
)
FAILED = replace(
    DONE,
    source="planned",
    state=TaskState.FAILED,
    outcome=OutcomeKind.VERIFY_FAILED,
    cost_usd=1.0,
    dead_letter=True,
    figures=replace(
        FIGURES, task_type="review", model="haiku", ran=timedelta(minutes=10), attempts=3, limited=1
    ),
)


def write(
    bench: Bench,
    events: Iterable[Event | EventRecord],
    *,
    every: timedelta = timedelta(hours=1),
    **options: Any,
) -> None:
    """In place of the log that there is, so that the last one happens now."""
    shutil.rmtree(bench.installation.locations.events)
    listed = list(events)
    at = bench.clock.now() - every * (len(listed) - 1)

    def now() -> datetime:
        return at

    log = EventLog(bench.installation.locations.events, now=now, **options)
    for event in listed:
        log.append(event if isinstance(event, EventRecord) else record_of(event))
        at += every
    log.close()


def many(number: int) -> list[Event]:
    """Each task a second longer than the one before; one in three fails."""
    return [
        replace(
            FAILED if place % 3 == 2 else DONE,
            task_id=TaskId(f"task-{place}"),
            figures=replace(
                FIGURES, ran=timedelta(seconds=place), task_type="coding" if place % 2 else "review"
            ),
        )
        for place in range(number)
    ]


def test_the_sums_of_what_ended(bench: Bench) -> None:
    write(bench, [DONE, replace(FAILED, task_id=TaskId("task-1")), replace(DONE, task_id=TaskId("task-2"))])

    view = statistics(bench.anew()).all

    assert (view.ended, view.states, view.outcomes) == (
        3,
        {"completed": 2, "failed": 1},
        {"succeeded": 2, "verify_failed": 1},
    )
    assert view.success_rate == pytest.approx(2 / 3)
    assert (view.waited.median_s, view.waited.p90_s, view.waited.known) == (30.0, 30.0, 3)
    assert (view.ran.median_s, view.ran.p90_s) == (120.0, 600.0)
    assert (view.cost_usd, view.cost_known) == (1.5, 3)
    assert (view.input_tokens, view.output_tokens) == (3000, 300)
    assert (view.retries, view.tasks_retried, view.limited, view.tasks_limited, view.dead_letters) == (
        2,
        1,
        1,
        1,
        1,
    )


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("source", {"ad-hoc": 2, "planned": 1}),
        ("type", {"coding": 2, "review": 1}),
        ("model", {"opus": 2, "haiku": 1}),
        ("outcome", {"succeeded": 2, "verify_failed": 1}),
    ],
)
def test_the_most_frequent_group_comes_first(bench: Bench, by: str, names: dict[str, int]) -> None:
    write(bench, [replace(FAILED, task_id=TaskId("task-1")), DONE, replace(DONE, task_id=TaskId("task-2"))])

    view = statistics(bench.anew(), by=by)

    assert [(group.name, group.ended) for group in view.groups] == list(names.items())
    assert sum(group.cost_usd for group in view.groups) == view.all.cost_usd


def test_days_are_local_and_the_newest_comes_first(bench: Bench) -> None:
    write(bench, many(3), every=timedelta(days=1))

    days = [group.name for group in statistics(bench.anew(), by="day").groups]

    today = bench.clock.now().astimezone().date()
    assert days == [(today - timedelta(days=back)).isoformat() for back in range(3)]


def test_events_of_earlier_releases_are_counted_and_what_they_lack_is_unknown(bench: Bench) -> None:
    """The time of a single attempt is known by them, too."""
    old = record_of(replace(DONE, figures=None))
    data = {key: value for key, value in old.data.items() if key != "figures"}
    retried = EventRecord("settled", data, "ad-hoc", "task-1", 2)
    write(bench, [EventRecord("settled", data, "ad-hoc", "task-0", 1), retried])

    view = statistics(bench.anew(), by="type")

    assert [(group.name, group.ended) for group in view.groups] == [("unknown", 2)]
    assert (view.all.ran.median_s, view.all.ran.known, view.all.waited.known) == (180.0, 1, 0)
    assert (view.all.attempts_known, view.all.tokens_known, view.all.cost_known) == (0, 0, 2)


def test_cancelled_and_rejected_tasks_say_nothing_of_success(bench: Bench) -> None:
    ends = [
        replace(FAILED, task_id=TaskId(f"task-{kind}"), outcome=kind)
        for kind in (OutcomeKind.CANCELLED, OutcomeKind.REJECTED)
    ]
    write(bench, [DONE, *ends])

    assert statistics(bench.anew()).all.success_rate == 1.0


def test_an_end_that_was_told_twice_counts_once_also_over_two_segments(bench: Bench) -> None:
    """By a daemon that was killed while it settled, and by the next one."""
    write(bench, [DONE, DONE, DONE], segment_bytes=100)
    view = statistics(bench.anew())

    assert view.all.ended == 1
    assert len(list(bench.installation.locations.summaries.rglob("*.json"))) > 1


def comparable(view: StatsView) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(as_json(view))
    return content


@pytest.mark.parametrize("back", [None, 0, 1, 7, 30, 59, 400])
@pytest.mark.parametrize("by", [None, "type", "day"])
def test_many_segments_say_the_same_as_one(bench: Bench, back: int | None, by: str | None) -> None:
    """With a window that begins in the middle of one, and with summaries that are there already."""
    since = None if back is None else bench.clock.now() - timedelta(hours=back)
    write(bench, many(60))
    whole = comparable(statistics(bench.anew(), since=since, by=by))
    write(bench, many(60), segment_bytes=2000)

    first, again = (comparable(statistics(bench.anew(), since=since, by=by)) for _ in range(2))

    assert len(list(bench.installation.locations.events.rglob("*.jsonl"))) > 3
    assert first == again == whole


@pytest.mark.parametrize("damage", ["", "{", '{"version":1}', "[]", "gone"])
def test_a_damaged_summary_is_made_again(bench: Bench, damage: str) -> None:
    """As a power cut, another release or a person may leave it."""
    write(bench, many(60), segment_bytes=2000)
    right = comparable(statistics(bench.anew()))
    for path in bench.installation.locations.summaries.rglob("*.json"):
        path.unlink() if damage == "gone" else path.write_text(damage)

    assert comparable(statistics(bench.anew())) == right


def test_a_segment_that_was_restored_from_elsewhere_is_summed_again(bench: Bench) -> None:
    """Its size differs from the one that was summed."""
    write(bench, many(60), segment_bytes=2000)
    statistics(bench.anew())
    first = min(bench.installation.locations.events.rglob("*.jsonl"))
    first.chmod(0o600)
    first.write_bytes(first.read_bytes().split(b"\n", 1)[1])
    first.chmod(0o400)

    assert statistics(bench.anew()).all.ended == 59


def test_statistics_work_where_nothing_can_be_written(bench: Bench) -> None:
    write(bench, many(60), segment_bytes=2000)
    bench.installation.locations.summaries.write_text("in the way")

    assert statistics(bench.anew()).all.ended == 60


def test_a_window_reads_only_the_segments_that_it_needs(bench: Bench) -> None:
    write(bench, many(60), segment_bytes=2000)
    steps: list[int] = []
    statistics(
        bench.anew(), since=bench.clock.now() - timedelta(hours=3), step=lambda done, _: steps.append(done)
    )
    every: list[int] = []
    statistics(bench.anew(), step=lambda done, _: every.append(done))

    assert len(steps) <= 3 < len(every)


def test_limits_are_told_by_how_often_and_how_long(bench: Bench) -> None:
    """A pause of one model is none of the account; one whose end was not told ends at its time."""
    now = bench.clock.now()
    until = now - timedelta(hours=3, minutes=30)
    write(
        bench,
        [
            TaskLimited("ad-hoc", TaskId("task-a"), 1, "five_hour", until),  # 6 hours ago
            AccountPaused("ad-hoc", "usage limit", until),
            AccountPaused("ad-hoc", "usage limit (only for opus)", now, "opus"),
            AccountPaused("ad-hoc", "usage limit", None),
            AccountResumed("a person opened it"),
            DONE,
            replace(DONE, task_id=TaskId("task-1")),
        ],
    )

    limits = statistics(bench.anew()).limits

    assert (limits.met, limits.pauses) == (1, 2)
    assert limits.paused_s == timedelta(hours=2, minutes=30).total_seconds()
    assert limits.paused_share == pytest.approx(2.5 / 6)
    assert statistics(bench.anew(), since=now - timedelta(hours=2, minutes=30)).limits.paused_s == 1800


def test_nothing_ended(bench: Bench) -> None:
    view = statistics(bench.anew(), by="day")

    assert (view.all.ended, view.all.success_rate, view.groups, view.limits.paused_share) == (
        0,
        None,
        (),
        None,
    )


def test_an_unknown_dimension_is_named(bench: Bench) -> None:
    with pytest.raises(TaskQueueError, match="there is no 'colour' to group by"):
        statistics(bench.anew(), by="colour")
