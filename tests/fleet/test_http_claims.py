"""The claims of a fleet keep the contract over HTTP, too: the routes, tokens and answers of the API before PostgreSQL.

What puts the two together, the daemon, is stood in for: which engine serves a source, and what is shown of its task.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from task_queue.app import claiming
from task_queue.app.tracked_task import TaskStatus, TrackedTask
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Database
from task_queue.ports.claims import Claims
from tests.dispatch.claims_contract import ClaimsBench, ClaimsContract
from tests.dispatch.test_http_claims import HttpBench
from tests.fleet.test_claims import FleetClaimsBench

_STATUS = {
    TaskState.PENDING: TaskStatus.QUEUED,
    TaskState.RUNNING: TaskStatus.RUNNING,
    TaskState.COMPLETED: TaskStatus.COMPLETED,
    TaskState.FAILED: TaskStatus.FAILED,
}


class FleetSources:
    """As the sources that workers serve: here their claims are those of a fleet."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def refresh(self) -> None: ...

    def note_fetching(self, source_id: str, worker: str, lacks: str | None) -> None: ...


class FleetHttpBench(HttpBench):
    def __init__(self, home: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(home, monkeypatch)
        self.fleet = FleetClaimsBench(home, database)
        self.fleet.clock = self.clock
        monkeypatch.setattr(claiming, "WorkerSources", self._sources)
        monkeypatch.setattr(claiming, "tracked_in", self._tracked)

    def start(self) -> None:
        self.fleet.start()
        super().start()

    def close(self) -> None:
        super().close()
        self.fleet.close()

    def drop_text(self, name: str, text: str, *, source: str = "a") -> None:
        self.fleet.drop_text(name, text, source=source)

    def cancel(self, name: str) -> None:
        self.fleet.cancel(name)

    def result(self, task_id: str, source: str = "a") -> dict[str, Any]:
        return self.fleet.result(task_id, source)

    def locks(self, source: str = "a") -> list[str]:
        return self.fleet.locks(source)

    def transcript(self, task_id: str) -> list[str]:
        return self.fleet.transcript(task_id)

    def _sources(self, *_: object, **__: object) -> FleetSources:
        return FleetSources(self.fleet.claims)

    def _tracked(self, _: object, source: str, task_id: TaskId, *__: Any) -> TrackedTask:
        state = self.fleet.engines[source].state_of(task_id)
        assert state is not None
        now = self.clock.now()
        return TrackedTask(task_id, source, _STATUS[state], task_id, 5, "general", "sh", (), now, now)


@pytest.mark.long
class TestFleetClaimsOverHttp(ClaimsContract):
    @pytest.fixture
    def bench(
        self, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[ClaimsBench]:
        bench = FleetHttpBench(tmp_path, database, monkeypatch)
        bench.start()
        yield bench
        bench.close()
