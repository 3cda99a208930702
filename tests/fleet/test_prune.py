"""``fleet prune``: what ended long ago takes no room, and is still known to have ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.app.fleet import FleetPlace
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.address import FleetAddress
from task_queue.fleet.database import Database
from tests.acceptance.rig import Rig
from tests.fleet.cluster import Cluster
from tests.fleet.test_engine import FleetBench


def test_what_ended_long_ago_loses_its_texts_and_nothing_else(
    cluster: Cluster, address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    bench, place = FleetBench(database, tmp_path), FleetPlace(cluster.url, address.schema)
    for name in ("task-old", "task-failed", "task-new", "task-runs"):
        bench.drop(name)
    bench.settle(bench.claim("task-old"))
    bench.settle(bench.claim("task-failed"), TaskState.FAILED)
    running = bench.claim("task-runs")
    with database.transaction() as cursor:
        cursor.execute("UPDATE task SET changed_at = changed_at - interval '91 days'")
        cursor.execute("UPDATE event SET at = at - interval '91 days'")
    bench.settle(bench.claim("task-new"))
    rig = Rig(tmp_path)

    def prune(*options: str) -> dict[str, object]:
        where = ("--db", place.url, "--schema", place.schema)
        done: dict[str, object] = rig.json("fleet", "prune", *where, "--older-than", "90d", *options)
        return {key: value for key, value in done.items() if key not in {"schema_version", "dry_run"}}

    would, done, again = prune("--dry-run"), prune(), prune()

    assert would == done == {"tasks": 2, "replaced": 0, "events": 9}
    assert again == {"tasks": 0, "replaced": 0, "events": 0}
    texts = "SELECT string_agg(name, ' ' ORDER BY name) FROM task WHERE document IS NOT NULL"
    assert bench.value(texts) == "task-new task-runs"
    assert bench.value("SELECT count(*) FROM attempt") == 2
    assert [bench.state_of(name) for name in ("task-old", "task-failed")] == [
        TaskState.COMPLETED,
        TaskState.FAILED,
    ]
    assert bench.claim(bench.drop("task-old")).task_id == "task-old.2"
    bench.settle(running)
    with pytest.raises(UnknownTaskError):  # of which nothing is left to try again
        bench.engine.requests.requeue(TaskId("task-failed"))


def test_an_age_that_is_none_is_refused(tmp_path: Path) -> None:
    done = Rig(tmp_path).cli("fleet", "prune", "--db", "postgresql://db", "--older-than", "soon")

    assert done.returncode == 1
    assert "--older-than: must be a duration such as" in done.stderr
