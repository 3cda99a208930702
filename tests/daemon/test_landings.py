"""What a try to land says is written only where it is still true."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from task_queue.daemon.landings import after_landing
from task_queue.domain.attempt.needs import is_landed
from task_queue.domain.document.choices import Isolation
from task_queue.domain.model import OutcomeKind, Result, WorkProduct
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.records import encode
from task_queue.store.folder.amending import read_result
from task_queue.store.folder.layout import Layout

TASK = TaskId("task-a")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def of(state: str, reason: str) -> WorkProduct:
    return WorkProduct(
        "/tree",
        Isolation.WORKTREE,
        branch="task-queue/task-a",
        commits=("c" * 40,),
        landed=reason,
        landing={"state": state, "target": "main", "reason": reason},
    )


WAITING = of("waiting", "another task was landing")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A source with one task that is done, and whose branch waits."""
    made = Layout(tmp_path / "pending")
    for folder in (made.result(TASK), made.report(TASK), made.ended(TaskState.COMPLETED) / "x"):
        folder.parent.mkdir(parents=True, exist_ok=True)
    (made.ended(TaskState.COMPLETED) / "task-a.md").write_text("# Work\n")
    return made


def written(layout: Layout, product: WorkProduct = WAITING) -> Result:
    result = Result(
        success=True,
        output="",
        error="",
        task_id=TASK,
        started_at=NOON,
        completed_at=NOON,
        duration_ms=1,
        duration_api_ms=0,
        total_cost_usd=0.0,
        usage={},
        session_id=None,
        num_turns=1,
        state=TaskState.COMPLETED,
        outcome=OutcomeKind.SUCCEEDED,
        evidence=(),
        attempts=(),
        source="a",
        worker="a",
        product=product,
    )
    layout.result(TASK).write_bytes(encode(result))
    return result


def test_what_it_came_to_is_written(layout: Layout) -> None:
    result = written(layout)

    after = after_landing(layout, result, of("landed", "it is in main"))

    assert is_landed(after)
    assert read_result(layout, TASK) == after
    assert "it is in main" in layout.report(TASK).read_text()


def test_a_branch_that_another_process_has_landed_meanwhile_stays_landed(layout: Layout) -> None:
    result = written(layout)
    landed = written(layout, of("landed", "it is in main"))

    after = after_landing(layout, result, of("waiting", "another task was landing"))
    also = after_landing(layout, result, of("waiting", "the checks fail"))

    assert after == result
    assert also == landed == read_result(layout, TASK)


def test_a_result_that_is_gone_is_not_made_anew(layout: Layout) -> None:
    result = written(layout)
    layout.result(TASK).unlink()

    after_landing(layout, result, of("landed", "it is in main"))

    assert not layout.result(TASK).exists()
    assert not layout.report(TASK).exists()


def test_a_task_that_was_tried_again_meanwhile_keeps_its_new_result(layout: Layout) -> None:
    result = written(layout)
    newer = replace(result, completed_at=NOON.replace(hour=13))
    layout.result(TASK).write_bytes(encode(newer))

    after_landing(layout, result, of("landed", "it is in main"))

    assert read_result(layout, TASK) == newer
