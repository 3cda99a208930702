"""What is old goes from the tables of a fleet by itself, beside the work of a host."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from task_queue.fleet.address import FleetAddress, fleet_address
from task_queue.fleet.daily import AGAIN_AFTER_S, FIRST_AFTER_S, DailyRetention
from task_queue.fleet.database import Database
from tests.fakes import FakeClock
from tests.fleet.inner_host import InnerHost
from tests.fleet.test_engine import FleetBench
from tests.waiting import eventually

_TEXTS = "SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') FROM task WHERE document IS NOT NULL"


def ended(bench: FleetBench, name: str, *, days_ago: int) -> None:
    bench.drop(name)
    bench.settle(bench.claim(name))
    with bench.database.transaction() as cursor:
        cursor.execute(
            "UPDATE task SET changed_at = now() - make_interval(days => %s) WHERE name = %s", [days_ago, name]
        )


def looked(retention: DailyRetention) -> None:
    retention.look()
    assert retention.wait(30)


def test_a_host_removes_what_is_old_once_a_day(
    address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    clock, bench = FakeClock(), FleetBench(database, tmp_path)
    retention = DailyRetention(address, 90, clock)
    ended(bench, "task-new", days_ago=89)
    ended(bench, "task-old", days_ago=91)
    found = []
    for seconds in (0, FIRST_AFTER_S):
        clock.advance(seconds)
        looked(retention)
        found.append(bench.value(_TEXTS))
    ended(bench, "task-next", days_ago=91)
    for seconds in (AGAIN_AFTER_S - 1, 1):
        clock.advance(seconds)
        looked(retention)
        found.append(bench.value(_TEXTS))

    assert found == ["task-new task-old", "task-new", "task-new task-next", "task-new"]


def test_a_host_that_has_joined_does_it(database: Database, tmp_path: Path) -> None:
    clock, bench = FakeClock(), FleetBench(database, tmp_path / "bench")
    host = InnerHost(tmp_path / "two", "two", database, clock=clock, retention_days=90)
    ended(bench, "task-old", days_ago=91)
    host.start()
    try:
        host.turn()
        clock.advance(FIRST_AFTER_S)
        host.turn()
        eventually(lambda: bench.value(_TEXTS) == "", what="it is removed")
    finally:
        host.end()


@pytest.mark.parametrize("days", [0, 90])
def test_nothing_goes_where_that_is_off_or_another_is_at_it(
    address: FleetAddress, database: Database, tmp_path: Path, days: int
) -> None:
    clock, bench = FakeClock(), FleetBench(database, tmp_path)
    retention = DailyRetention(address, days, clock)
    ended(bench, "task-old", days_ago=91)
    clock.advance(FIRST_AFTER_S)
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('retention ' || current_schema(), 0))")
        looked(retention)

    assert bench.value(_TEXTS) == "task-old"


def test_a_database_that_is_away_is_only_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    retention = DailyRetention(fleet_address("postgresql://fleet@127.0.0.1:1/queue"), 90, clock)
    clock.advance(FIRST_AFTER_S)
    with caplog.at_level(logging.WARNING):
        looked(retention)

    assert "old rows of the fleet not removed" in caplog.text
