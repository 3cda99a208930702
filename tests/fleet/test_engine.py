"""FleetEngine keeps the contract of every engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.domain.model import Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Database
from task_queue.fleet.engine import FleetEngine
from task_queue.fleet.intake import submit
from task_queue.platform.records import decode
from tests.fleet.joining import joined
from tests.store.contract import EngineBench, EngineContract

SOURCE = "s"


class FleetBench(EngineBench):
    def __init__(
        self, database: Database, scratch: Path, *, host: str = "one", slots: int = 3, source: str = SOURCE
    ) -> None:
        self.database, self.source = database, source
        self.owner = joined(database, host)
        self.engine: FleetEngine = FleetEngine(
            database, source, self.owner, slots=lambda: slots, scratch=scratch
        )
        self.engine.open()

    def drop(self, task_id: str, text: str = "# Do it") -> TaskId:
        submit(self.database, self.source, TaskId(task_id), text.encode())
        return TaskId(task_id)

    def delete(self, task_id: str) -> None:
        self.value(
            "UPDATE task SET document = NULL WHERE name = %s AND state = 'running' RETURNING id", task_id
        )

    def edit(self, task_id: str, text: str) -> None:
        self.value(
            "UPDATE task SET document = %s WHERE name = %s AND state = 'running' RETURNING id",
            text.encode(),
            task_id,
        )

    def kept(self, name: str) -> str:
        found = self.value(
            "SELECT document FROM kept WHERE kind = 'edited' AND 'edited-' || record || '.md' = %s", name
        )
        assert isinstance(found, bytes)
        return found.decode()

    def state_of(self, task_id: str) -> TaskState | None:
        return self.engine.state_of(TaskId(task_id))

    def result(self, task_id: str) -> Result | None:
        found = self.value("SELECT result FROM task WHERE record = %s", task_id)
        return None if found is None else decode(Result, str(found).encode())

    def text_of(self, task_id: str) -> str:
        found = self.value("SELECT document FROM task WHERE record = %s", task_id)
        assert isinstance(found, bytes)
        return found.decode()

    def value(self, query: str, *values: object) -> object:
        """Of the first column of the only row."""
        with self.database.transaction() as cursor:
            cursor.execute(query.encode(), values)
            (row,) = cursor.fetchall()
        return row[0]


@pytest.fixture
def fleet(database: Database, tmp_path: Path) -> FleetBench:
    return FleetBench(database, tmp_path)


class TestFleetEngine(EngineContract):
    @pytest.fixture
    def bench(self, fleet: FleetBench) -> EngineBench:
        return fleet

    def test_a_text_that_is_newer_than_the_claim_has_no_time_of_arrival(self, fleet: FleetBench) -> None:
        fleet.drop("task-a")
        claim = fleet.claim("task-a")
        arrived_at = fleet.engine.queue.arrived_at(claim)
        fleet.edit("task-a", "# New")

        assert arrived_at is not None
        assert fleet.engine.queue.arrived_at(claim) is None

    def test_a_duplicate_waits_once_the_first_has_ended(self, fleet: FleetBench) -> None:
        """Where it was not rejected meanwhile."""
        for name in ("task-a", "task-b"):
            fleet.drop(name, "---\ndedupe_key: k\n---\n# Do it")
        rejected = fleet.engine.survey().rejected
        while_one_waits = fleet.waiting()
        fleet.settle(fleet.claim("task-a"))

        assert [(name, "duplicate of task-a, which waits" in why) for name, why in rejected] == [
            ("task-b", True)
        ]
        assert (while_one_waits, fleet.waiting()) == (["task-a"], ["task-b"])
