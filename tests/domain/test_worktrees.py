"""Which finished working trees may go: those beyond the number, and those kept for long enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from task_queue.domain.work.worktrees import Idle, Keep, overdue

NOW = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)
TREES = tuple(Idle(Path(f"task-{days}"), NOW - timedelta(days=days)) for days in (3, 1, 2))
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
    ],
    ids=["few", "number", "none stays", "time", "young", "either of both"],
)
def test_what_is_beyond_number_or_time_may_go(keep: Keep, go: list[str]) -> None:
    assert [tree.directory.name for tree in overdue(TREES, keep, now=NOW)] == go
