"""Who follows what happens to tasks gets each change once, and misses none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from task_queue.domain.model import Journal
from task_queue.domain.task import TaskId
from task_queue.fleet.address import FleetAddress
from task_queue.fleet.database import Database
from task_queue.fleet.feed import FeedPlace, StateChange
from tests.fleet.cluster import Cluster
from tests.fleet.following import changes_after
from tests.fleet.test_engine import FleetBench
from tests.waiting import eventually


@pytest.fixture
def slow(
    cluster: Cluster, database: Database, address: FleetAddress
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session whose transaction commits when the test says so."""
    with psycopg.connect(cluster.url) as connection:
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(address.schema)))
        connection.commit()
        yield connection


def test_each_state_of_a_task_is_a_change(database: Database, tmp_path: Path) -> None:
    """In their order, a page at a time; what does not change its state is none."""
    bench = FleetBench(database, tmp_path, host="one")
    bench.drop("task-a")
    bench.engine.requests.request_cancel(TaskId("task-a"))
    bench.engine.queue.release(bench.claim("task-a"), Journal(TaskId("task-a")))
    bench.settle(bench.claim("task-a"))
    pages: list[StateChange] = []
    while page := changes_after(database, pages[-1].place if pages else FeedPlace(), most=2):
        pages += page

    assert [(each.state.value, each.attempt, each.host) for each in pages] == [
        ("pending", None, None),
        ("running", 1, "one"),
        ("pending", None, None),
        ("running", 2, "one"),
        ("completed", None, None),
    ]
    assert [each.record for each in pages] == [None, *["task-a"] * 4]


def test_what_commits_late_is_not_missed(
    database: Database, tmp_path: Path, slow: psycopg.Connection[tuple[object, ...]]
) -> None:
    """Its number is lower than that of what a reader could have seen before."""
    bench = FleetBench(database, tmp_path)
    slow.execute("INSERT INTO task (source, name, document) VALUES ('s', 'task-late', '')")
    bench.drop("task-early")
    before = changes_after(database, FeedPlace())
    slow.commit()

    assert before == []
    assert [each.name for each in changes_after(database, FeedPlace())] == ["task-late", "task-early"]


def test_what_is_rolled_back_did_not_happen(
    database: Database, slow: psycopg.Connection[tuple[object, ...]]
) -> None:
    slow.execute("INSERT INTO task (source, name, document) VALUES ('s', 'task-a', '')")
    slow.rollback()

    assert changes_after(database, FeedPlace()) == []


def test_many_writers_and_a_reader(address: FleetAddress, database: Database, tmp_path: Path) -> None:
    """The reader follows while they write: each task once, none missed."""
    names = {f"task-{writer}-{number}" for writer in range(8) for number in range(25)}
    begin = threading.Barrier(8)

    def write(writer: int) -> None:
        own = Database(address)
        bench = FleetBench(own, tmp_path, host=f"host-{writer}")
        begin.wait(30)
        for name in sorted(name for name in names if name.startswith(f"task-{writer}-")):
            bench.drop(name)
        own.close()

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in writers:
        thread.start()
    seen: list[StateChange] = []

    def follow() -> bool:
        seen.extend(changes_after(database, seen[-1].place if seen else FeedPlace(), most=7))
        return len(seen) >= len(names) and not any(thread.is_alive() for thread in writers)

    eventually(follow)
    assert changes_after(database, seen[-1].place) == []
    assert sorted(each.name for each in seen) == sorted(names)
