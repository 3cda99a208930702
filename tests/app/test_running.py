"""What is said of a running attempt: its phase, and how much of its limits is used up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from task_queue.app import running
from task_queue.app.answers import RunningView
from task_queue.app.running import running_in
from task_queue.domain.task import TaskId
from task_queue.store.folder.layout import Layout

TASK = TaskId("task-a")
NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)


class Attempt:
    """A claimed task, and the files that its runner writes."""

    def __init__(self, folder: Path) -> None:
        self.folders = Layout(folder / "pending")
        self.folder = self.folders.attempt(TASK, 1)
        self.folder.mkdir(parents=True)
        self.folders.pending.mkdir()
        claim = {"attempt": 1, "session_id": "s", "pid_start_ticks": 1, "boot_id": "b", "task_id": TASK}
        (self.folders.pending / f".{TASK}.lock").write_text(json.dumps(claim))

    def run(self, bounds: dict[str, Any] | None) -> None:
        record = {"started_at": NOW.isoformat()} | ({} if bounds is None else {"bounds": bounds})
        (self.folder / "run.json").write_text(json.dumps(record))

    def write(self, *frames: tuple[str, dict[str, Any]]) -> None:
        lines = [json.dumps({"t": NOW.isoformat(), "dir": way, "raw": raw}) for way, raw in frames]
        with (self.folder / "transcript.jsonl").open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def view(self) -> RunningView:
        now = NOW + timedelta(minutes=12)
        ((view,), _) = running_in("ad-hoc", self.folders, [f".{TASK}.lock"], now)
        return view


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path)


def answer(number: int) -> tuple[str, dict[str, Any]]:
    return "in", {"type": "assistant", "message": {"id": f"m{number}", "content": []}}


PHASE = ("note", {"type": "phase", "phase": "implement 2", "rounds": 3})


def test_only_limits_that_are_set_are_measured(attempt: Attempt) -> None:
    """Turns and cost over all attempts of the task, the time of this one."""
    attempt.run({"timeout_s": 7200.0, "max_turns": 200, "turns_before": 30, "max_budget_usd": None})
    attempt.write(PHASE, answer(1), answer(2))

    measures = attempt.view().measures

    assert [(each.name, each.used, each.limit) for each in measures] == [
        ("time", 720.0, 7200.0),
        ("turns", 32.0, 200.0),
    ]


def test_a_budget_is_measured_with_what_was_spent_before(attempt: Attempt) -> None:
    attempt.run({"max_budget_usd": 5.0, "usd_before": 1.5})
    attempt.write(PHASE)

    assert [(each.name, each.used, each.limit) for each in attempt.view().measures] == [("cost", 1.5, 5.0)]


@pytest.mark.parametrize("bounds", [None, {}, {"timeout_s": "x", "max_turns": True}], ids=str)
def test_a_run_record_of_an_earlier_release_has_no_measures(
    attempt: Attempt, bounds: dict[str, Any] | None
) -> None:
    attempt.run(bounds)

    assert attempt.view().measures == ()


def test_the_phase_is_found_before_what_is_read_of_a_long_transcript(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns and cost are not measured then, because they are not known."""
    monkeypatch.setattr(running, "_TRANSCRIPT_TAIL", 1000)
    attempt.run({"max_turns": 200, "max_budget_usd": 1.0, "timeout_s": 60.0})
    agents_own = ("in", {"type": "phase", "phase": "audit 1"})
    attempt.write(("note", {"type": "phase", "phase": "prepare"}), PHASE, agents_own, *map(answer, range(50)))

    view = attempt.view()

    assert str(view.phase) == "implement 2/3"
    assert not view.turns_counted
    assert [measure.name for measure in view.measures] == ["time"]


def test_without_a_transcript_no_phase_is_said(attempt: Attempt) -> None:
    attempt.run({})

    assert attempt.view().phase is None
