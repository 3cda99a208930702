"""Phases and turns as events, read off the frames as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from task_queue.domain.document.choices import Workflow
from task_queue.domain.events import AttemptStarted, Event, PhaseEnded, PhaseStarted, TurnTaken
from task_queue.domain.task import TaskId
from task_queue.ports.executor import ExecutorKind, Order
from task_queue.runner.announcing import AnnouncingTranscript
from tests.fakes import FakeClock, FakeOrders
from tests.store.memory import MemoryEngine


class Kept:
    """A transcript in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Mapping[str, Any] | str]] = []

    def write(self, direction: str, raw: Mapping[str, Any] | str) -> None:
        self.lines.append((direction, raw))


def an_order() -> Order:
    clock = FakeClock()
    engine = MemoryEngine()
    engine.add("task-a", "# A\n")
    claim = engine.claim(TaskId("task-a"), worker="w", now=clock.now())
    return FakeOrders().order_for(claim, engine.task(claim), engine.journal(claim), engine.place_of(claim))


class Bench:
    def __init__(self, order: Any) -> None:
        self.clock = FakeClock()
        self.told: list[Event] = []
        self.kept = Kept()
        self.about = (order.source, TaskId(order.claim.task_id), order.claim.attempt)
        self.transcript = AnnouncingTranscript(
            self.kept, order, self.told.append, monotonic=self.clock.monotonic
        )

    def phase(self, name: str) -> None:
        self.transcript.write("note", {"type": "phase", "phase": name})

    def answer(self, identity: object, *tools: str, parent: str | None = None) -> None:
        content = [{"type": "text", "text": "hm"}, *({"type": "tool_use", "name": name} for name in tools)]
        message = {"id": identity, "content": content}
        self.transcript.write("in", {"type": "assistant", "message": message, "parent_tool_use_id": parent})


@pytest.fixture
def bench() -> Bench:
    return Bench(an_order())


def test_phases_begin_and_end(bench: Bench) -> None:
    """The last one with the attempt; the phase that only says how it ends is none."""
    bench.phase("implement 1")
    bench.clock.advance(2.5)
    bench.phase("commit")
    bench.phase("finish")
    bench.transcript.end()

    assert bench.told[1:] == [
        PhaseStarted(*bench.about, "implement 1"),
        PhaseEnded(*bench.about, "implement 1", timedelta(seconds=2.5)),
        PhaseStarted(*bench.about, "commit"),
        PhaseEnded(*bench.about, "commit", timedelta(0)),
    ]
    assert len(bench.kept.lines) == 3


def test_of_the_turns_of_a_second_one_is_told(bench: Bench) -> None:
    """Frames of one answer are one turn, and a subagent's are none of the agent's."""
    bench.phase("implement 1")
    bench.answer("m1", "Bash", "Read")
    bench.answer("m1")
    bench.answer("m2")
    bench.answer("s1", parent="toolu_1")
    bench.clock.advance(1)
    bench.answer("m3")

    assert bench.told[2:] == [
        TurnTaken(*bench.about, "implement 1", 1, "Bash"),
        TurnTaken(*bench.about, "implement 1", 3, None),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "assistant"},
        {"type": "assistant", "message": []},
        {"type": "assistant", "message": {"id": 7}},
        {},
    ],
    ids=["no message", "a list", "a number as id", "nothing"],
)
def test_frames_of_another_shape_are_only_written(bench: Bench, frame: dict[str, Any]) -> None:
    bench.transcript.write("in", frame)
    bench.transcript.write(
        "in", {"type": "assistant", "message": {"id": "m", "content": [3, {"type": "tool_use"}]}}
    )
    bench.transcript.write("err", "text")

    assert bench.told[1:] == [TurnTaken(*bench.about, None, 1, None)]
    assert len(bench.kept.lines) == 3


def test_a_command_is_one_phase() -> None:
    order = an_order()
    settings = replace(order.settings, executor="sh", workflow=Workflow.SINGLE)
    bench = Bench(replace(order, executor=ExecutorKind.COMMAND, settings=settings))
    bench.transcript.end()
    bench.transcript.end()

    assert bench.told == [
        AttemptStarted(*bench.about, "sh", order.claim.resumes),
        PhaseStarted(*bench.about, "command"),
        PhaseEnded(*bench.about, "command", timedelta(0)),
    ]
