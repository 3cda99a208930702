"""A search of a long history reads a part of it, says how far it came, and goes on from there; by counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

import task_queue.app.history as history_module
from task_queue.app.history import HistoryView, history
from task_queue.cli.history import history_from
from task_queue.cli.server import QueueServer
from task_queue.client.operation import Operation
from task_queue.domain.event_record import record_of
from task_queue.domain.task import TaskId
from task_queue.store.event_log import EventLog
from tests.app.bench import Bench
from tests.app.test_history import DONE
from tests.counting import counting

_ENDS = 600
_FEW_OPENED = 8
"""Two segments, and what says where the log is."""


@pytest.fixture
def begin(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """An end a minute, in many segments, of which one answer reads two."""
    monkeypatch.setattr(history_module, "_SEGMENTS_AT_ONCE", 2)
    at = begin = bench.clock.now() - timedelta(minutes=_ENDS)
    log = EventLog(bench.installation.locations.events, now=lambda: at, segment_bytes=5000)
    for number in range(_ENDS):
        log.append(record_of(replace(DONE, task_id=TaskId(f"task-{number:03}"))))
        at += timedelta(minutes=1)
    log.close()
    return begin


def answers(bench: Bench, **wanted: Any) -> Iterator[HistoryView]:
    before: int | None = None
    while True:
        view = history(bench.anew(), at_once=True, before=before, **wanted)
        yield view
        if not view.more:
            return
        assert before is None or (view.before is not None and view.before < before)
        before = view.before


def test_what_matches_nothing_costs_the_same_however_long_the_log_is(bench: Bench, begin: datetime) -> None:
    with counting() as (_, files):
        view = history(bench.anew(), at_once=True, text="nowhere", limit=5)

    assert files["open"] <= _FEW_OPENED
    assert (view.tasks, view.more) == ((), True)
    assert view.searched_to is not None
    assert begin < view.searched_to < bench.clock.now()


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_search_that_goes_on_finds_each_once(bench: Bench, begin: datetime, limit: int) -> None:
    found = [task.task_id for view in answers(bench, text="task-1", limit=limit) for task in view.tasks]

    assert found == [f"task-{number}" for number in range(199, 99, -1)]
    *_, last = answers(bench, text="nowhere", limit=limit)
    assert (last.tasks, last.more, last.searched_to) == ((), False, None)


def test_a_search_since_a_moment_ends_there(bench: Bench, begin: datetime) -> None:
    since = bench.clock.now() - timedelta(minutes=3)
    view = history(bench.anew(), at_once=True, text="nowhere", since=since)

    assert (view.more, view.searched_to) == (False, None)


def test_who_sees_little_costs_no_more(
    bench: Bench, begin: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a task is seen is asked of so many ends at once only."""
    monkeypatch.setattr(history_module, "_ENDS_AT_ONCE", 10)
    asked: list[str] = []

    def sees(_source: str, task_id: str) -> bool:
        asked.append(task_id)
        return task_id == "task-585"

    first, second = history(bench.anew(), at_once=True, sees=sees), len(asked)
    later = history(bench.anew(), at_once=True, sees=sees, before=first.before)

    assert (second, len(asked)) == (10, 20)
    assert (first.tasks, first.more) == ((), True)
    assert [task.task_id for task in later.tasks] == ["task-585"]


class _Server:
    """As the API answers."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.asked = 0

    def ask(self, operation: Operation[HistoryView]) -> HistoryView:
        self.asked += 1
        given = dict(operation.query)
        before = given.get("before")
        return history(
            self._bench.anew(),
            at_once=True,
            text=given["text"],
            limit=int(given["limit"]),
            before=None if before is None else int(before),
        )


def test_the_command_goes_on_until_it_has_enough(bench: Bench, begin: datetime) -> None:
    """Of a server, which looks at a part of the past for each answer."""
    server = _Server(bench)
    view = history_from(cast("QueueServer", server), 5, text="task-00", since=None, source=None, outcome=())

    assert [task.task_id for task in view.tasks] == [f"task-00{number}" for number in (9, 8, 7, 6, 5)]
    assert (view.more, view.searched_to) == (True, None)
    assert server.asked > 2
