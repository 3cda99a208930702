"""``/tasks/ID/events``: what happened to one task, from the event log."""

from __future__ import annotations

import json
import logging

from fastapi import APIRouter, Request, Response

from task_queue.api.callers import InstallationNow, KeptNow
from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import VisitorNow
from task_queue.app.event_feed import open_events
from task_queue.app.event_sight import EventSight, events_of
from task_queue.app.tracking import tracked

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)
_MOST = 1000


@router.get("/tasks/{task_id}/events")
def get_events(
    request: Request, task_id: str, visitor: VisitorNow, installation: InstallationNow, kept: KeptNow
) -> Response:
    task = tracked(installation, task_id, visitor.caller, kept)
    reader = open_events(installation, task=task.id, warn=log.warning)
    events, more = events_of(reader, EventSight(installation, visitor.caller, kept), _MOST)
    reader.close()
    rows = [(event, json.dumps(event.data, ensure_ascii=False)) for event in events]
    return page(request, "events.html", visitor, task=task, rows=rows, more=more, now=installation.now())
