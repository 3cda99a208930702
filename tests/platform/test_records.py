"""Whatever we publish can be read back."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from task_queue.domain.model import Ending, Outcome, OutcomeKind, Work
from task_queue.domain.task import TaskId
from task_queue.platform.records import decode, encode

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)


def test_a_name_that_is_no_text_can_be_read_back() -> None:
    """An ending that names such a file would otherwise be unreadable, and the attempt would have none."""
    name = os.fsdecode(b"caf\xe9")
    reason = f'left uncommitted: {name}, \\ud83d, "\n'
    ending = Ending(TaskId("task-a"), 1, Outcome(OutcomeKind.FAILED, reason), Work(), NOW, NOW, "runner")

    read = decode(Ending, encode(ending))

    assert read.outcome.reason == 'left uncommitted: caf\\udce9, \\ud83d, "\n'
    assert encode(read) == encode(ending)
