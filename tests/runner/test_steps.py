"""Which steps of an earlier attempt are believed where nothing but files is left of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.domain.work.workflow import Implemented, Prepared, Step, Verified
from task_queue.ports.executor import Order
from task_queue.runner.steps import Steps, forget_witness
from tests.runner.test_announcing import an_order

DONE: tuple[Step, ...] = (
    Prepared(1, "base", checkpoint="the checkpoint"),
    Implemented(1, tree="the files"),
    Verified(1, passed=True),
)


class Log:
    """The part of an AttemptWriter that concerns steps; an agent can write there."""

    def __init__(self) -> None:
        self.lines: dict[int, list[str]] = {1: []}

    def add_step(self, line: str) -> None:
        self.lines[1].append(line)

    def steps(self, attempt: int) -> list[str]:
        return self.lines.get(attempt, [])


def first_attempt(folder: Path) -> tuple[Order, Log]:
    order = an_order()
    order = replace(order, token="secret", git=replace(order.git, trusted=folder))
    log = Log()
    steps = Steps(order, log)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the part that is used
    for step in DONE:
        steps.add(step)
    return order, log


def believed(order: Order, log: Log) -> list[Step]:
    """By the next attempt, after runner and daemon were killed: no history has a seal."""
    order = replace(order, claim=replace(order.claim, attempt=2, resumes=True), token="another", steps={})
    return Steps(order, log).done  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the part that is used


def test_what_was_done_is_believed_and_what_was_found_is_not(tmp_path: Path) -> None:
    order, log = first_attempt(tmp_path)

    assert believed(order, log) == list(DONE[:2])


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda line: line.replace("the checkpoint", "another"), id="a changed line"),
        pytest.param(lambda line: line.rpartition(', "signature"')[0] + "}", id="an unsigned line"),
        pytest.param(lambda _: '{"step": "prepared", "attempt": 1, "checkpoint": "mine"}', id="another line"),
    ],
)
def test_a_forged_step_names_nothing(tmp_path: Path, forge: Callable[[str], str]) -> None:
    """Neither a checkpoint, nor a tree, nor files that judge."""
    order, log = first_attempt(tmp_path)
    log.lines[1] = [forge(log.lines[1][0]), *log.lines[1][1:]]

    assert believed(order, log) == []


def test_without_a_seal_no_step_names_anything(tmp_path: Path) -> None:
    """Of an attempt that ended, or where the state folder is gone."""
    order, log = first_attempt(tmp_path)
    assert list(tmp_path.rglob("steps/*"))

    forget_witness(order)

    assert not list(tmp_path.rglob("steps/*"))
    assert believed(order, log) == []
