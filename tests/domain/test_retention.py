"""Which files may go: never those of a task that something still needs, and of the event log only its oldest part."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.retention import EndFacts, overdue_segments, why_kept
from task_queue.domain.work.worktrees import Idle, Keep

NOW = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)
_SEGMENTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=12)
_KEEPS = st.builds(
    Keep,
    st.integers(0, 15),
    st.none() | st.integers(0, 60).map(lambda days: timedelta(days=days)),
    st.none() | st.integers(0, 60),
)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (EndFacts(), None),
        (EndFacts(is_ours=False), "it is not a result of the queue"),
        (EndFacts(has_ended=False), "its document is not where its task ended"),
        (EndFacts(is_unfinished=True, has_ended=False), "its task runs, or will be tried again"),
        (EndFacts(is_unlanded=True, open_need="not_landed"), "its work is not on the target branch"),
        (EndFacts(open_need="denied"), "it needs a person: denied"),
        (EndFacts(needed_by="task-b"), "task task-b waits for it"),
    ],
    ids=["nothing", "foreign", "moved", "retried", "not landed", "attention", "needed"],
)
def test_each_reason_keeps_alone(facts: EndFacts, why: str | None) -> None:
    assert why_kept(facts) == why


@given(st.from_type(EndFacts))
def test_only_what_nothing_needs_goes(facts: EndFacts) -> None:
    """Whatever else is true of it, one reason is enough."""
    stays = (
        facts.is_unfinished or facts.is_unlanded or facts.needed_by is not None or facts.open_need is not None
    )

    assert (why_kept(facts) is None) == (facts.is_ours and facts.has_ended and not stays)


@given(_SEGMENTS, _KEEPS)
def test_the_log_loses_its_oldest_segments_only(ages_and_sizes: list[tuple[int, int]], keep: Keep) -> None:
    """Though the times of files may be in any order; what is within every limit stays."""
    segments = [
        Idle(Path(str(number)), NOW - timedelta(days=days), size)
        for number, (days, size) in enumerate(ages_and_sizes)
    ]
    going = overdue_segments(segments, keep, now=NOW)

    assert list(going) == segments[: len(going)]
    total = sum(segment.size_bytes for segment in segments)
    for segment in going:
        is_old = keep.period is not None and NOW - segment.since >= keep.period
        assert (
            is_old or len(segments) > keep.number or (keep.size_bytes is not None and total > keep.size_bytes)
        )
