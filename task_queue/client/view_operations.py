"""The answers of the reading commands, for who sees every task: ``task-queue status --server`` and the like."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from task_queue.app.answers import ListView, ShowView, StatusView
from task_queue.app.history import HistoryView
from task_queue.app.report import ReportView
from task_queue.client.operation import Operation, asking, part, reading

_LONG_S = 120.0


def status(*, waiting: int = 5, ended: int = 0, outlook: bool = False) -> Operation[StatusView]:
    """How many that wait and that ended are named of each source; *outlook*: with when they start."""
    return asking("/v1/status", reading(StatusView), waiting=waiting, ended=ended, outlook=outlook)


def listing(
    *,
    source: str | None = None,
    state: Sequence[str] = (),
    type: Sequence[str] = (),  # noqa: A002 - the name in the URL
    dead: bool = False,
    limit: int = 20,
) -> Operation[ListView]:
    """Tasks by source and state, as ``tasks list`` has them; *limit* is for each state of each source."""
    return asking(
        "/v1/listing", reading(ListView), source=source, state=state, type=type, dead=dead, limit=limit
    )


def history(
    *,
    since: datetime | None = None,
    source: str | None = None,
    outcome: Sequence[str] = (),
    text: str | None = None,
    limit: int = 20,
    before: int | None = None,
) -> Operation[HistoryView]:
    """What ended, the newest first; *before*: what follows the answer that named it.

    One answer looks at a part of the past: where ``more`` is true, ask again, however few ends came.
    """
    shape = reading(HistoryView)
    return asking(
        "/v1/history",
        shape,
        takes_s=_LONG_S,
        since=since,
        source=source,
        outcome=outcome,
        text=text,
        limit=limit,
        before=before,
    )


def morning_report(*, since: datetime) -> Operation[ReportView]:
    """What needs a person, what was done, what failed and why, since then."""
    return asking("/v1/report", reading(ReportView), takes_s=_LONG_S, since=since)


def details(task_id: str) -> Operation[ShowView]:
    """All that ``tasks show`` knows of one task."""
    return asking(f"/v1/tasks/{part(task_id)}/details", reading(ShowView))
