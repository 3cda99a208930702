"""How times and amounts are spelled."""

from __future__ import annotations

from datetime import datetime

import pytest

from task_queue.app.spelling import clock

NOW = datetime(2026, 2, 7, 18, 0).astimezone()


@pytest.mark.parametrize(
    ("at", "spelled"),
    [
        (None, "-"),
        ("2026-02-07T18:30:59", "18:30"),
        ("2026-02-08T02:30", "Sun 02:30"),
        ("2026-02-13T02:30", "Fri 02:30"),
        ("2026-02-14T02:30", "2026-02-14 02:30"),
        ("2026-02-06T02:30", "2026-02-06 02:30"),
    ],
)
def test_a_time_to_come(at: str | None, spelled: str) -> None:
    time = None if at is None else datetime.fromisoformat(at).astimezone()

    assert clock(time, NOW) == spelled
