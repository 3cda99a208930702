"""What waits in a source, in the order in which it would run, and why each task waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from task_queue.app.answers import ListedSource, WaitingView
from task_queue.app.circumstances import Circumstances
from task_queue.domain.document import naming
from task_queue.domain.task import TaskId
from task_queue.ports.snapshot import Survey

_AHEAD = 3


def waiting_in(
    circumstances: Circumstances, listed: ListedSource, *, running: Sequence[TaskId], shown: int
) -> list[WaitingView]:
    """The first *shown*; then those that the daemon ends unstarted. Raises OSError."""
    survey = circumstances.snapshots.survey(listed.id)
    if survey.unread:
        return _by_name(survey.unread, shown)
    views = _in_order(circumstances, listed, running=running)
    views += [_cancelled(listed, task_id) for task_id in survey.cancelled]
    for task_id, why in survey.rejected:
        views.append(WaitingView(task_id, "", 0, f"will be rejected: {why}"))
    return views[:shown]


def _cancelled(listed: ListedSource, task_id: TaskId) -> WaitingView:
    from task_queue.app.documents import title_of  # rarely needed

    title = title_of(listed.folders.pending / naming.document_of(task_id))
    return WaitingView(task_id, title, 0, "cancelled, as soon as the daemon runs")


def count_of(survey: Survey) -> int:
    """How many documents are in the folder that are not claimed."""
    return len(survey.waiting) + len(survey.cancelled) + len(survey.rejected) + len(survey.unread)


def _in_order(
    circumstances: Circumstances, listed: ListedSource, *, running: Sequence[TaskId]
) -> list[WaitingView]:
    if not circumstances.snapshots.survey(listed.id).waiting:
        return []
    from task_queue.domain.document.ordering import delayed_until

    now = circumstances.now
    reasons = circumstances.snapshots.reasons(
        listed.id, now=now, running=len(running), holds=circumstances.holds(listed)
    )
    ahead = [*running[:_AHEAD], *(task.id for task, _ in reasons[:_AHEAD])]
    return [
        WaitingView(
            task_id=task.id,
            title=task.title,
            priority=task.priority,
            why=why,
            attempts=task.tries,
            not_before=delayed_until(task, now),
            next_attempt_at=delayed_until(task, now) if task.tries else None,
            attempts_left=max(0, task.max_attempts - task.counted),
            position=position,
            ahead=tuple(ahead[: min(_AHEAD, position - 1)]),
            type=task.type,
            needs_person=bool(task.needs_person),
        )
        for position, (task, why) in enumerate(reasons, start=len(running) + 1)
    ]


def _by_name(names: Iterable[str], shown: int) -> list[WaitingView]:
    import heapq

    why = "in the order of names"
    ids = heapq.nsmallest(shown, map(naming.task_id_of, names), key=naming.natural)
    return [WaitingView(task_id, "", 5, why) for task_id in ids]
