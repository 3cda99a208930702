"""What a fleet asks of its PostgreSQL: claims and ends, signs of life, looks, the feed, import and export.

All on this one machine, with ``fsync`` and ``synchronous_commit``: hosts that are threads, and their database.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

from benchmarks.figures import Findings, Size, progress
from benchmarks.measure import scratch as measured_scratch
from benchmarks.parts import run_alone
from task_queue.app.fleet import FleetPlace
from task_queue.app.fleet_moves import export_tasks, import_tasks
from task_queue.app.installation import Installation
from task_queue.domain.attempt.results import bare_ending, result_of
from task_queue.domain.document.ordering import Ready
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.address import FleetAddress, fleet_address
from task_queue.fleet.database import Database
from task_queue.fleet.engine import FleetEngine
from task_queue.fleet.feed import FeedPlace, changes_after
from task_queue.fleet.held import HostLife
from task_queue.fleet.hosts import Lifeline
from task_queue.fleet.schema import set_up
from task_queue.store.folder.layout import Layout
from tests.fakes import FakeClock
from tests.fleet.cluster import own_cluster, why_no_cluster
from tests.fleet.joining import joined
from tests.store.contract import DONE, NOW

_HOSTS = {Size.SHORT: (1, 4), Size.FULL: (1, 4, 16)}
TASKS = 400
BEATING = 500
BEATS = 2000
MOVED = 300
_WAITING = {Size.SHORT: (1_000,), Size.FULL: (1_000, 20_000)}
_DOCUMENT = b"---\nexecutor: noop\n---\nnothing\n"


def measure(size: Size) -> Findings:
    found = Findings("fleet", size)
    why = why_no_cluster()
    if why is not None:
        found.skip("all of it", why)
        return found
    with own_cluster() as cluster, tempfile.TemporaryDirectory() as scratch:
        progress(f"{TASKS} tasks, over {_HOSTS[size]} hosts")
        found.add_rows(
            "claimed and settled, a source a host",
            (
                "hosts",
                "tasks/s",
                "transactions/s",
                "transactions/task",
                "KB/task",
                "events/task",
                "feed rows/s",
            ),
            [
                _carried_out(_fresh(cluster.url, f"carry_{hosts}"), hosts, Path(scratch))
                for hosts in _HOSTS[size]
            ],
        )
        progress("looks, signs of life, moves")
        found.add_rows(
            "a look at one source",
            ("wait", "first look ms", "look after a change ms", "claim ms"),
            [_looked(_fresh(cluster.url, f"look_{n}"), n, Path(scratch)) for n in _WAITING[size]],
        )
        found.add_rows(
            f"signs of life, {BEATING} hosts in the table",
            ("hosts at once", "turns/s"),
            [_beaten(_fresh(cluster.url, f"beat_{n}"), n) for n in (1, 4)],
        )
        there, back = _moved(cluster.url, _fresh(cluster.url, "moved").schema)
        found.add_rows(f"{MOVED} waiting tasks moved", ("", "tasks/s"), [("import", there), ("export", back)])
    return found


def _fresh(url: str, schema: str) -> FleetAddress:
    address = fleet_address(url, schema)
    database = Database(address)
    set_up(database, None)
    database.close()
    return address


def _carried_out(address: FleetAddress, hosts: int, scratch: Path) -> Sequence[object]:
    database = Database(address)
    owners = [joined(database, f"host-{n}") for n in range(hosts)]
    _fill(database, [f"s{n}" for n in range(hosts)], TASKS // hosts)
    before, began = _committed(database), time.perf_counter()
    _at_once([partial(_serve, address, owner, f"s{n}", scratch) for n, owner in enumerate(owners)])
    taken = time.perf_counter() - began
    done = _one(database, "SELECT count(*) FROM task WHERE state = 'completed'")
    spent = _committed(database) - before
    size = _one(
        database,
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' "
        f"AND relnamespace = '{address.schema}'::regnamespace",
    )
    events, rows_per_s = _followed(database)
    database.close()
    return hosts, done / taken, spent / taken, spent / done, size / 1024 / done, events / done, rows_per_s


def _serve(address: FleetAddress, owner: HostLife, source: str, scratch: Path) -> None:
    database = Database(address)
    engine = FleetEngine(database, source, owner, slots=lambda: 1, scratch=scratch)
    while isinstance(found := engine.survey().waiting.next(now=NOW, state_of=engine.state_of), Ready):
        claim = engine.queue.claim(found.task.id, worker="bench", now=NOW)
        ending = engine.attempts.commit(claim, bare_ending(claim, DONE, by="runner", now=NOW))
        journal = engine.queue.journal(claim)
        state = TaskState.COMPLETED
        result = result_of(claim, ending, journal, state=state, source=source, workspace=None)
        engine.queue.settle(claim, result)
    database.close()


def _followed(database: Database) -> tuple[int, float]:
    place, rows, began = FeedPlace(), 0, time.perf_counter()
    while changes := changes_after(database, place):
        rows, place = rows + len(changes), changes[-1].place
    return rows, rows / (time.perf_counter() - began)


def _looked(address: FleetAddress, waiting: int, scratch: Path) -> Sequence[object]:
    database = Database(address)
    owner = joined(database, "one")
    _fill(database, ["s"], waiting)
    engine = FleetEngine(database, "s", owner, slots=lambda: 100, scratch=scratch)
    first = _ms(engine.survey)
    looks: list[float] = []
    claims: list[float] = []
    for number in range(20):
        task_id = TaskId(f"task-{number}")
        claims.append(_ms(partial(engine.queue.claim, task_id, worker="bench", now=NOW)))
        looks.append(_ms(engine.survey))
    database.close()
    return waiting, first, sorted(looks)[10], sorted(claims)[10]


def _beaten(address: FleetAddress, at_once: int) -> Sequence[object]:
    database = Database(address)
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO host (name) SELECT 'other-' || n FROM generate_series(1, %s) AS n", [BEATING]
        )
    owners = [joined(database, f"host-{n}") for n in range(at_once)]

    def beat(owner: HostLife) -> None:
        own = Database(address)
        lifeline = Lifeline(own, owner, FakeClock())
        for _ in range(BEATS // at_once):
            lifeline.turn()
        own.close()

    began = time.perf_counter()
    _at_once([partial(beat, owner) for owner in owners])
    taken = time.perf_counter() - began
    database.close()
    return at_once, BEATS / taken


def _moved(url: str, schema: str) -> tuple[float, float]:
    place, rates = FleetPlace(url, schema), list[float]()
    with measured_scratch(task_source_directories=[]) as rig, patch.dict(os.environ, rig.environment):
        source = {
            "id": "s",
            "path": str(rig.home / "s" / "pending"),
            "repository": "https://git.example.org/s",
        }
        rig.config.write_text(json.dumps({"version": "2.1", "task_source_directories": [source]}))
        layout = Layout(rig.home / "s" / "pending")
        layout.create()
        for number in range(MOVED):
            (layout.pending / f"task-{number}.md").write_bytes(_DOCUMENT)
        for move in (import_tasks, export_tasks):
            began = time.perf_counter()
            done = move(Installation(str(rig.config)), place, source=None)
            rates.append(len(done.moved) / (time.perf_counter() - began))
    return rates[0], rates[1]


def _fill(database: Database, sources: Sequence[str], each: int) -> None:
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO task (source, name, document) SELECT source, 'task-' || n, %s "
            "FROM unnest(%s::text[]) AS source, generate_series(0, %s - 1) AS n",
            [_DOCUMENT, list(sources), each],
        )


def _at_once(works: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _committed(database: Database) -> int:
    """Transactions so far. PostgreSQL counts them a second late."""
    threading.Event().wait(1.2)
    return _one(database, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


def _one(database: Database, query: str) -> int:
    with database.transaction() as cursor:
        cursor.execute(query.encode())
        ((value,),) = cursor.fetchall()
    return int(value)


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    run_alone("fleet")
