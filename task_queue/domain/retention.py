"""Which of the queue's own files may go once they are beyond the limits of ``retention``. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

from task_queue.domain.work.worktrees import Idle, Keep, overdue


class PrunedKind(StrEnum):
    RESULTS = "results"
    """With the report and the document."""
    LOGS = "logs"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class EndFacts:
    """What is known of a task whose files are beyond a limit."""

    is_ours: bool = True
    """The queue wrote its result, or noted its end before the result went."""
    has_ended: bool = True
    """Its document is where it ended, or its end was noted before that went."""
    is_unfinished: bool = False
    """It runs, or will be tried again."""
    needed_by: str | None = None
    """A task that waits for it."""
    is_unlanded: bool = False
    """Its work is on a branch that is not merged."""
    open_need: str | None = None
    """What a person has neither settled nor acknowledged."""


def why_kept(facts: EndFacts) -> str | None:
    """None: its files may go."""
    if not facts.is_ours:
        return "it is not a result of the queue"
    if facts.is_unfinished:
        return "its task runs, or will be tried again"
    if not facts.has_ended:
        return "its document is not where its task ended"
    if facts.is_unlanded:
        return "its work is not on the target branch"
    if facts.open_need is not None:
        return f"it needs a person: {facts.open_need}"
    if facts.needed_by is not None:
        return f"task {facts.needed_by} waits for it"
    return None


def overdue_segments(segments: Sequence[Idle], keep: Keep, *, now: datetime) -> tuple[Idle, ...]:
    """The oldest of the sealed *segments*, which are in their order, up to the first that stays.

    So no gap is made in the log.
    """
    newest_first = segments[::-1]  # of those of one time, too
    going = {segment.directory for segment in overdue(newest_first, keep, now=now)}
    return tuple(takewhile(lambda segment: segment.directory in going, segments))
