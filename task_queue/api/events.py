"""Events: a page after a cursor, or a stream that goes on."""

from __future__ import annotations

import json
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow, served
from task_queue.api.paths import TaskPath
from task_queue.api.settings import ServedApi
from task_queue.api.streams import EVENT_STREAM, AcceptNow, LastEvent, Wave, stream
from task_queue.app.event_feed import EventReader, LoggedEvent, open_events
from task_queue.app.event_sight import EventSight, events_of
from task_queue.app.tracking import tracked
from task_queue.client.answers import EXAMPLE_EVENT, EventAnswer, EventPage
from task_queue.domain.policy import AccessRole, Caller

log = logging.getLogger(__name__)
router = APIRouter(tags=["events"])
_AT_ONCE = 200


_BOTH: dict[int | str, dict[str, Any]] = {
    200: {
        "model": EventPage,
        "content": {
            EVENT_STREAM: {
                "schema": {"type": "string"},
                "example": f"id: {EXAMPLE_EVENT['cursor']}\nevent: settled\ndata: {json.dumps(EXAMPLE_EVENT)}\n\n",
            }
        },
        "description": "A page of JSON, or a stream.",
    }
}
_After = Annotated[
    str | None,
    Query(max_length=200, description="A cursor, or `end`.", examples=["end"]),
]
_Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many events.")]
_Types = Annotated[
    list[str] | None,
    Query(max_length=50, description="Only events of these types.", examples=[["settled"]]),
]


@router.get("/v1/events", response_class=Response, responses=_BOTH)
async def get_events(
    *,
    request: Request,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    after: _After = None,
    limit: _Limit = 100,
    type: _Types = None,  # noqa: A002 - the name in the URL
    accept: AcceptNow = "application/json",
    last_event_id: LastEvent = None,
) -> Response:
    """What happened, from the event log. With `Accept: text/event-stream` it goes on, also after `Last-Event-ID`."""
    caller.demand(AccessRole.READ)
    reader = await run_in_threadpool(
        open_events, installation, after=last_event_id or after, types=tuple(type or ()), warn=log.warning
    )
    sight = EventSight(installation, caller, kept)
    return await _answer(served(request), reader, sight, caller, limit=limit, streamed=EVENT_STREAM in accept)


@router.get("/v1/tasks/{task_id}/events", response_class=Response, responses=_BOTH)
async def get_task_events(
    *,
    request: Request,
    task_id: TaskPath,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    after: _After = None,
    limit: _Limit = 100,
    accept: AcceptNow = "application/json",
    last_event_id: LastEvent = None,
) -> Response:
    """The same of one task."""
    task = await run_in_threadpool(tracked, installation, task_id, caller, kept)
    reader = await run_in_threadpool(
        open_events, installation, after=last_event_id or after, task=task.id, warn=log.warning
    )
    sight = EventSight(installation, caller, kept)
    return await _answer(served(request), reader, sight, caller, limit=limit, streamed=EVENT_STREAM in accept)


async def _answer(
    api: ServedApi, reader: EventReader, sight: EventSight, caller: Caller, *, limit: int, streamed: bool
) -> Response:
    if not streamed:
        events, more = await run_in_threadpool(events_of, reader, sight, limit)
        page = EventPage(events=tuple(map(_view, events)), cursor=reader.cursor, more=more)
        reader.close()
        return JSONResponse(page.model_dump())

    def look() -> Wave:
        events, more = events_of(reader, sight, _AT_ONCE)
        return Wave("".join(map(_frame, events)), more_at_once=more)

    return stream(api, caller, look, close=reader.close, folders=reader.folders)


def _frame(event: LoggedEvent) -> str:
    return f"id: {event.cursor}\nevent: {event.type}\ndata: {_view(event).model_dump_json()}\n\n"


def _view(event: LoggedEvent) -> EventAnswer:
    return EventAnswer(
        cursor=event.cursor,
        at=event.at.isoformat(),
        type=event.type,
        source=event.source,
        task_id=event.task_id,
        attempt=event.attempt,
        data=event.data,
    )
