"""Which moment a person means."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from task_queue.domain.past_time import past_moment

NOW = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)
"""12:30 in Berlin, where the clocks went from 2:00 to 3:00 that night."""


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", NOW - timedelta(hours=24)),
        (" 1D12h ", NOW - timedelta(hours=36)),
        ("2w", NOW - timedelta(days=14)),
        ("90m", NOW - timedelta(minutes=90)),
        ("today", datetime(2026, 3, 28, 23, tzinfo=UTC)),
        ("Yesterday", datetime(2026, 3, 27, 23, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 2, 28, 23, tzinfo=UTC)),
        ("2026-03-29T12:00", datetime(2026, 3, 29, 10, tzinfo=UTC)),
        ("2026-03-29T12:00:00Z", datetime(2026, 3, 29, 12, tzinfo=UTC)),
        ("12:00", datetime(2026, 3, 29, 10, tzinfo=UTC)),
        ("22:00", datetime(2026, 3, 28, 21, tzinfo=UTC)),
        ("2:30", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_found(text: str, moment: datetime) -> None:
    assert past_moment(text, NOW) == moment
    assert os.environ["TZ"] == "Europe/Berlin"


@pytest.mark.parametrize("text", ["", "soon", "24", "h", "24 h ago", "2026-13-01", "25:00", "9999999999d"])
def test_what_names_none_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="yesterday"):
        past_moment(text, NOW)
