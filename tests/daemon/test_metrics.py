"""The file for Prometheus, read by the parser of Prometheus."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from task_queue.config.schema import Config, validate
from task_queue.daemon.metrics import MetricsFile
from task_queue.domain.attempt.account import Account
from task_queue.domain.events import TaskSettled
from task_queue.domain.metrics import METRICS, SOURCE_UP, Sample, exposition
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from tests.fakes import FakeClock
from tests.waiting import eventually

HOSTILE = 'a "quoted\\" {source="x"} 1 # é'


class Figures:
    """The metrics of a daemon with two sources, of which the second has an odd name."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file: Path | None = home / "task-queue.prom"
        self.clock = FakeClock()
        self.account = Account()
        self.stopped = False
        for name in ("a", "b"):
            (home / name / "pending").mkdir(parents=True)
        self.metrics = MetricsFile(
            self.config, clock=self.clock, account_of=lambda: self.account, is_stopped=lambda: self.stopped
        )

    def config(self) -> Config:
        return validate(
            {
                "version": "2.1",
                "task_source_directories": [
                    {"id": name, "path": str(self.home / folder / "pending")}
                    for name, folder in (("a", "a"), (HOSTILE, "b"))
                ],
                "metrics": {"file": self.file and str(self.file)},
            },
            Path("config.json"),
        )

    def place(self, *paths: str) -> None:
        for path in paths:
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            (self.home / path).touch()

    def settle(self, outcome: OutcomeKind, cost_usd: float | None, source: str = "a") -> None:
        state = TaskState.COMPLETED if outcome is OutcomeKind.SUCCEEDED else TaskState.FAILED
        self.metrics.emit(
            TaskSettled(source, TaskId("task-a"), 1, state, outcome, "", timedelta(0), 1, cost_usd, False)
        )

    def written(self) -> dict[tuple[str, ...], float]:
        self.metrics.write()
        return read(self.home / "task-queue.prom")


def read(path: Path) -> dict[tuple[str, ...], float]:
    """Values by name and the values of labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


@pytest.fixture
def figures(tmp_path: Path) -> Figures:
    return Figures(tmp_path)


def test_tasks_are_counted_where_they_are(figures: Figures) -> None:
    """Locks, notes and litter are none; what a person has acknowledged needs none."""
    figures.place(
        "a/pending/task-1.md", "a/pending/task-2.md", "a/pending/.task-2.lock", "a/pending/notes.md"
    )
    figures.place("a/results/.attention/task-3.json", "a/results/.attention/task-4.json")
    figures.place("a/results/.acknowledged/task-4.json", "a/results/.acknowledged/task-9.json")

    found = figures.written()

    assert found["task_queue_tasks_waiting", "a"] == 1
    assert found["task_queue_tasks_running", "a"] == 1
    assert found["task_queue_results_needing_attention", "a"] == 1
    assert found["task_queue_source_up", "a"] == 1
    assert found["task_queue_tasks_waiting", HOSTILE] == 0


def test_ends_and_costs_add_up_by_source(figures: Figures) -> None:
    figures.settle(OutcomeKind.SUCCEEDED, 0.5)
    figures.settle(OutcomeKind.SUCCEEDED, 0.25)
    figures.settle(OutcomeKind.FAILED, None)
    figures.settle(OutcomeKind.FAILED, 1.0, HOSTILE)

    found = figures.written()

    assert found["task_queue_tasks_ended_total", "a", "succeeded"] == 2
    assert found["task_queue_tasks_ended_total", "a", "failed"] == 1
    assert found["task_queue_tasks_ended_total", HOSTILE, "failed"] == 1
    assert found["task_queue_cost_usd_total", "a"] == 0.75
    assert found["task_queue_cost_usd_total", HOSTILE] == 1.0


def test_the_daemon_and_the_account(figures: Figures) -> None:
    now = figures.clock.now()
    before = figures.written()
    figures.stopped = True
    figures.account = Account(paused_until=now + timedelta(hours=1), why="limit", since=now)

    found = figures.written()

    assert (before["task_queue_stopped",], before["task_queue_account_paused",]) == (0, 0)
    assert (found["task_queue_stopped",], found["task_queue_account_paused",]) == (1, 1)
    assert found["task_queue_up",] == 1
    assert found["task_queue_start_time_seconds",] == now.timestamp()
    assert found["task_queue_written_time_seconds",] == now.timestamp()


def test_a_source_that_cannot_be_read_is_named(figures: Figures) -> None:
    (figures.home / "b/pending").rmdir()

    found = figures.written()

    assert found["task_queue_source_up", HOSTILE] == 0
    assert ("task_queue_tasks_waiting", HOSTILE) not in found


def test_the_file_has_what_is_documented_and_no_more(figures: Figures) -> None:
    figures.settle(OutcomeKind.SUCCEEDED, 0.5)
    figures.metrics.write()
    families = list(text_string_to_metric_families((figures.home / "task-queue.prom").read_text()))

    assert [(family.name, family.type, family.documentation) for family in families] == [
        (each.name.removesuffix("_total"), each.kind, each.help) for each in METRICS
    ]
    labels = {family.name: set(family.samples[0].labels) for family in families}
    assert labels == {each.name.removesuffix("_total"): set(each.labels) for each in METRICS}


@pytest.mark.parametrize("value", ['"', "\\", "\n", '\\"', "\\n", "}", "=", ",", "é ☃", ""])
def test_any_label_is_read_as_it_was(value: str) -> None:
    (family,) = text_string_to_metric_families(exposition([Sample(SOURCE_UP, 1, {"source": value})]))

    assert family.samples[0].labels == {"source": value}


def test_others_can_read_it_and_nothing_else_is_left(figures: Figures) -> None:
    figures.metrics.write()
    figures.metrics.write()

    assert sorted(path.name for path in figures.home.iterdir()) == ["a", "b", "task-queue.prom"]
    assert (figures.home / "task-queue.prom").stat().st_mode & 0o777 == 0o644


def test_without_the_key_nothing_is_written_and_an_old_file_says_so(figures: Figures) -> None:
    figures.metrics.write()
    figures.file = None

    assert figures.written() == {("task_queue_up",): 0}

    (figures.home / "task-queue.prom").unlink()
    figures.metrics.write()
    assert not (figures.home / "task-queue.prom").exists()


def test_a_file_that_cannot_be_written_is_logged_once(
    figures: Figures, caplog: pytest.LogCaptureFixture
) -> None:
    figures.file = figures.home / "missing" / "task-queue.prom"

    figures.metrics.write()
    figures.metrics.write()

    assert [record.message.split(" path=")[0] for record in caplog.records] == ["metrics are not written"]


def test_a_daemon_that_stops_says_so(figures: Figures) -> None:
    path = figures.home / "task-queue.prom"
    figures.metrics.start()
    eventually(path.exists, what="the first figures")

    figures.metrics.stop()

    assert read(path) == {("task_queue_up",): 0}
    assert "metrics" not in {thread.name for thread in threading.enumerate()}
