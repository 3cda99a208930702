"""Which finished working trees may go: those beyond the number or the size, and those kept for long enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from task_queue.domain.work.worktrees import Idle, Keep, overdue

NOW = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)
TREES = tuple(Idle(Path(f"task-{days}"), NOW - timedelta(days=days), 10 * days) for days in (3, 1, 2))
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("keep", "go"),
    [
        (Keep(5), []),
        (Keep(2), ["task-3"]),
        (Keep(0), ["task-1", "task-2", "task-3"]),
        (Keep(5, 2 * DAY), ["task-2", "task-3"]),
        (Keep(5, 4 * DAY), []),
        (Keep(1, 3 * DAY), ["task-2", "task-3"]),
        (Keep(5, size_bytes=60), []),
        (Keep(5, size_bytes=59), ["task-3"]),
        (Keep(5, size_bytes=9), ["task-1", "task-2", "task-3"]),
    ],
    ids=[
        "few",
        "number",
        "none stays",
        "time",
        "young",
        "either of both",
        "small enough",
        "size",
        "none fits",
    ],
)
def test_what_is_beyond_a_limit_may_go(keep: Keep, go: list[str]) -> None:
    assert [tree.directory.name for tree in overdue(TREES, keep, now=NOW)] == go
