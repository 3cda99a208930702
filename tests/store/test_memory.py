"""MemoryEngine keeps the contract."""

from __future__ import annotations

import pytest

from task_queue.domain.model import Claim, Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.attempt_writer import AttemptWriter
from tests.store.contract import EngineContract, RunnerBench, RunnerContract
from tests.store.memory import MemoryEngine


class MemoryBench(RunnerBench):
    def __init__(self) -> None:
        self.engine: MemoryEngine = MemoryEngine()

    def drop(self, task_id: str, text: str = "# Do it") -> TaskId:
        return self.engine.add(task_id, text)

    def delete(self, task_id: str) -> None:
        del self.engine.documents[TaskId(task_id)]

    def edit(self, task_id: str, text: str) -> None:
        self.drop(task_id, text)

    def kept(self, name: str) -> str:
        return self.engine.newer[name].decode()

    def state_of(self, task_id: str) -> TaskState | None:
        return self.engine.state_of(TaskId(task_id))

    def result(self, task_id: str) -> Result | None:
        return self.engine.results.get(TaskId(task_id))

    def writer(self, claim: Claim) -> AttemptWriter:
        return self.engine.writer(claim)

    def text_of(self, task_id: str) -> str:
        return self.engine.ended[TaskId(task_id)][1].decode()


class TestMemoryEngine(EngineContract, RunnerContract):
    @pytest.fixture
    def bench(self) -> RunnerBench:
        return MemoryBench()
