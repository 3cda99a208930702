"""The claims of folders, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from task_queue.config.locations import locate
from task_queue.dispatch.served import WorkerSources
from task_queue.ports.claims import Claims
from tests.dispatch.claims_contract import ClaimsBench, ClaimsContract
from tests.dispatch.in_process import InProcessBench


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


class TestFolderClaims(ClaimsContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[ClaimsBench]:
        bench = FolderBench(tmp_path)
        bench.start()
        yield bench
        bench.close()
