"""The tasks of all sources with a ``dedupe_key``: what each source hears of the others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from task_queue.domain.document.duplicates import Keyed
from task_queue.domain.task import TaskId
from task_queue.store.keyed_tasks import KeyedTasks

NOON = datetime(2026, 2, 7, 12, tzinfo=UTC)
A, B = TaskId("task-a"), TaskId("task-b")


class Bench:
    def __init__(self) -> None:
        self.woken: list[str] = []
        self.keyed = KeyedTasks(self.woken.append)

    def put(self, source: str, task_id: TaskId, **more: bool) -> None:
        self.keyed.put(Keyed(source, task_id, "k", NOON, **more))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_is_judged_before_all_sources_were_looked_at(bench: Bench) -> None:
    """Nor started: the one that runs since before a restart may be in the last of them."""
    bench.keyed.expect("a")
    bench.keyed.expect("b")
    bench.put("a", A)
    bench.put("a", B)
    bench.keyed.seen("a")
    early = bench.keyed.start("a", A), bench.keyed.why_duplicate("a", B)
    bench.put("b", B, runs=True)
    woken = list(bench.woken)
    bench.keyed.seen("b")

    assert early == ("the other sources are looked at first, because one may have its dedupe_key", None)
    assert bench.woken[len(woken) :] == ["a", "b"] or bench.woken[len(woken) :] == ["b", "a"]
    assert bench.keyed.take_changed("a") == {A, B}
    assert "duplicate of task-b of source 'b', which runs" in (bench.keyed.why_duplicate("a", A) or "")


def test_of_two_that_start_at_once_one_does(bench: Bench) -> None:
    """Though the second looks first by its name: it was seen too late."""
    bench.put("b", B)
    started = bench.keyed.start("b", B)
    bench.put("a", A)

    assert started is None
    assert bench.keyed.start("a", A) == "another task with its dedupe_key came first"
    assert bench.keyed.why_duplicate("b", B) is None
    assert "which runs" in (bench.keyed.why_duplicate("a", A) or "")


def test_what_runs_keeps_its_key_while_its_document_is_edited_or_deleted(bench: Bench) -> None:
    bench.put("a", A)
    bench.keyed.start("a", A)
    bench.keyed.discard("a", A)
    bench.put("b", B)
    while_it_runs = bench.keyed.why_duplicate("b", B)
    bench.keyed.end("a", A)

    assert while_it_runs is not None
    assert bench.keyed.why_duplicate("b", B) is None
    assert bench.keyed.take_changed("b") == {B}


def test_a_task_that_comes_back_waits_before_later_ones(bench: Bench) -> None:
    bench.put("a", A)
    bench.keyed.start("a", A)
    bench.keyed.stop("a", A)
    bench.put("b", B)

    assert "which waits" in (bench.keyed.why_duplicate("b", B) or "")
    assert bench.keyed.start("a", A) is None


def test_a_source_that_is_not_served_any_more_holds_no_key(bench: Bench) -> None:
    bench.keyed.expect("a")
    bench.put("a", A)
    bench.put("b", B)
    bench.keyed.forget("a")

    assert bench.keyed.why_duplicate("b", B) is None
    assert bench.keyed.start("b", B) is None
    assert (bench.keyed.has_any("a"), bench.keyed.first_with("k")) == (
        False,
        Keyed("b", B, "k", NOON, runs=True),
    )
