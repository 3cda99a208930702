"""The claims of folders, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from task_queue.config.locations import locate
from task_queue.dispatch.served import WorkerSources
from task_queue.ports.claims import Claims
from tests.dispatch.claims_contract import ClaimsBench, ClaimsContract
from tests.dispatch.in_process import InProcessBench
from tests.waiting import eventually


class FolderBench(InProcessBench):
    def start(self) -> None:
        locations = locate(str(self.rig.config), environ=self.rig.environment)
        self.sources = WorkerSources(locations, clock=self.clock)
        self.sources.start()

    @property
    def claims(self) -> Claims:
        return self.sources.claims

    def close(self) -> None:
        self.sources.stop()


def test_an_account_that_is_limited_is_tried_by_one_task_afterwards(tmp_path: Path) -> None:
    """As its worker told when it would be: until then that worker gets no agent's task, and commands all the same."""
    bench = FolderBench(tmp_path)
    bench.start()
    bench.rig.drop("task-1", "# Do it")
    bench.rig.drop("task-2", "# Do it")
    bench.drop("task-3", priority=1)
    resets_at = bench.clock.now() + timedelta(hours=2)
    bench.report(bench.got(), "limited", resets_at=resets_at)

    assert [bench.got().task_id, bench.claim()] == ["task-3", None]
    bench.clock.advance(3 * 3600)
    tries = bench.got()
    assert bench.claim() is None
    bench.report(tries)
    assert bench.claim() is not None
    bench.close()


def test_a_source_that_drains_ends_what_is_out(tmp_path: Path) -> None:
    """Its workers hear it, what they report counts, nothing else is handed out, and the end of it is said."""
    bench = FolderBench(tmp_path)
    bench.start()
    bench.drop("task-1")
    bench.drop("task-2")
    held = bench.got()
    bench.rig.cli("sources", "drain", "a", check=True)

    assert (bench.heartbeat(held), bench.claim()) == ("drain", None)
    assert bench.report(held) == "applied"
    assert (bench.claim(), bench.result("task-1")["success"]) == (None, True)
    eventually(lambda: "source_drained" in bench.rig.cli("events", "--json").stdout)
    bench.close()


class TestFolderClaims(ClaimsContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[ClaimsBench]:
        bench = FolderBench(tmp_path)
        bench.start()
        yield bench
        bench.close()
