"""``/history``, ``/statistics``, ``/report``: what ended, how and at what cost; the morning in one screen."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from task_queue.api.callers import InstallationNow, KeptNow
from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import VisitorNow
from task_queue.app.charts import days_of
from task_queue.app.history import history
from task_queue.app.past_sight import sees_ends
from task_queue.app.report import report
from task_queue.app.report_page import headline, period, sections_of
from task_queue.app.statistics import statistics
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.model import OutcomeKind
from task_queue.domain.past_time import past_moment

router = APIRouter(include_in_schema=False)
_ROWS = 50
_CHART = timedelta(days=30)
_SINCE = ("12h", "24h", "3d", "7d")
_PERIODS = ("24h", "7d", "30d", "365d")


@router.get("/history")
def get_history(
    *,
    request: Request,
    visitor: VisitorNow,
    installation: InstallationNow,
    kept: KeptNow,
    source: Annotated[str, Query(max_length=300)] = "",
    outcome: Annotated[str, Query(max_length=50)] = "",
    text: Annotated[str, Query(max_length=300)] = "",
    since: Annotated[str, Query(max_length=40)] = "",
    before: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    now = installation.now()
    ended = history(
        installation,
        since=_since(since, now) if since else None,
        source_id=source or None,
        outcomes=(outcome,) if outcome else (),
        text=text or None,
        limit=_ROWS,
        before=before,
        at_once=True,
        sees=sees_ends(installation, visitor.caller, kept),
    )
    asked = {"source": source, "outcome": outcome, "text": text, "since": since}
    given = {key: value for key, value in asked.items() if value}
    older = None if ended.before is None else f"/history?{urlencode({**given, 'before': ended.before})}"
    return page(
        request,
        "history.html",
        visitor,
        ended=ended,
        asked=asked,
        older=older,
        newest=None if before is None else f"/history?{urlencode(given)}",
        sources=[each.id for each in installation.entries() if visitor.caller.policy.allows_source(each.id)],
        outcomes=[kind.value for kind in OutcomeKind],
        now=now,
    )


@router.get("/report")
def get_report(
    request: Request,
    visitor: VisitorNow,
    installation: InstallationNow,
    since: Annotated[str, Query(max_length=40)] = "12h",
) -> Response:
    visitor.demand_everything()
    now = installation.now()
    said = report(installation, since=_since(since, now))
    return page(
        request,
        "report.html",
        visitor,
        headline=headline(said),
        period=period(said),
        sections=sections_of(said),
        since=since,
        choices=_SINCE,
        now=now,
    )


@router.get("/statistics")
def get_statistics(
    request: Request,
    visitor: VisitorNow,
    installation: InstallationNow,
    since: Annotated[str, Query(max_length=40)] = "30d",
) -> Response:
    visitor.demand_everything()
    now = installation.now()
    return page(
        request,
        "statistics.html",
        visitor,
        stats=statistics(installation, since=_since(since, now), by="source"),
        days=days_of(statistics(installation, since=_midnight(now - _CHART), by="day")),
        since=since,
        choices=_PERIODS,
    )


def _since(text: str, now: datetime) -> datetime:
    """Raises TaskQueueError."""
    try:
        return past_moment(text, now)
    except ValueError as error:
        raise TaskQueueError(f"since: {error}") from None


def _midnight(at: datetime) -> datetime:
    return at.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
