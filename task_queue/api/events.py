"""Events: a page after a cursor, or a stream that goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow, served
from task_queue.api.problems import ProblemError
from task_queue.api.settings import ServedApi
from task_queue.app.event_feed import EventReader, LoggedEvent, open_events
from task_queue.app.event_sight import EventSight, events_of
from task_queue.app.tokens import is_still_good
from task_queue.app.tracking import tracked
from task_queue.client.answers import EventAnswer, EventPage
from task_queue.domain.policy import AccessRole, Caller

log = logging.getLogger(__name__)
router = APIRouter(tags=["events"])
_MOST_STREAMS = 512
_LOOK_EVERY_S = 0.25
_CHECK_EVERY_S = 5.0
_AT_ONCE = 200
_STREAM = "text/event-stream"


_BOTH: dict[int | str, dict[str, Any]] = {
    200: {"model": EventPage, "content": {_STREAM: {}}, "description": "A page, or a stream."}
}
_After = Annotated[str | None, Query(max_length=200, description="A cursor, or `end`.")]
_Limit = Annotated[int, Query(ge=1, le=1000)]
_Types = Annotated[list[str] | None, Query(max_length=50)]
_Accept = Annotated[str, Header(max_length=500)]
_Last = Annotated[str | None, Header(max_length=200)]


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
    accept: _Accept = "application/json",
    last_event_id: _Last = None,
) -> Response:
    """What happened, from the event log. With `Accept: text/event-stream` it goes on, also after `Last-Event-ID`."""
    caller.demand(AccessRole.READ)
    reader = await run_in_threadpool(
        open_events, installation, after=last_event_id or after, types=tuple(type or ()), warn=log.warning
    )
    sight = EventSight(installation, caller, kept)
    return await _answer(served(request), reader, sight, caller, limit=limit, streamed=_STREAM in accept)


@router.get("/v1/tasks/{task_id}/events", response_class=Response, responses=_BOTH)
async def get_task_events(
    *,
    request: Request,
    task_id: str,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    after: _After = None,
    limit: _Limit = 100,
    accept: _Accept = "application/json",
    last_event_id: _Last = None,
) -> Response:
    """The same of one task."""
    task = await run_in_threadpool(tracked, installation, task_id, caller, kept)
    reader = await run_in_threadpool(
        open_events, installation, after=last_event_id or after, task=task.id, warn=log.warning
    )
    sight = EventSight(installation, caller, kept)
    return await _answer(served(request), reader, sight, caller, limit=limit, streamed=_STREAM in accept)


async def _answer(
    api: ServedApi, reader: EventReader, sight: EventSight, caller: Caller, *, limit: int, streamed: bool
) -> Response:
    if not streamed:
        events, more = await run_in_threadpool(events_of, reader, sight, limit)
        page = EventPage(events=tuple(map(_view, events)), cursor=reader.cursor, more=more)
        reader.close()
        return JSONResponse(page.model_dump())
    if api.streams >= _MOST_STREAMS:
        raise ProblemError(
            503, "too_many_streams", f"{_MOST_STREAMS} streams are open", headers={"retry-after": "5"}
        )
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_stream(api, reader, sight, caller), media_type=_STREAM, headers=headers)


async def _stream(
    api: ServedApi, reader: EventReader, sight: EventSight, caller: Caller
) -> AsyncGenerator[str, None]:
    """Until its reader goes, the credential is not good any more, or the process ends."""
    api.streams += 1
    try:
        yield "retry: 2000\n\n"
        async with aclosing(_waves(api, reader, sight, caller)) as waves:
            async for wave in waves:
                yield wave
    finally:
        api.streams -= 1
        reader.close()


async def _waves(
    api: ServedApi, reader: EventReader, sight: EventSight, caller: Caller
) -> AsyncGenerator[str, None]:
    loop = asyncio.get_running_loop()
    checked = loop.time()
    more = True
    while not api.ends.is_set():
        events, more = await run_in_threadpool(events_of, reader, sight, _AT_ONCE)
        now = loop.time()
        if events or now - checked >= _CHECK_EVERY_S:
            checked = now
            if not await run_in_threadpool(is_still_good, api.installation.again(), caller):
                yield "event: credential_ended\ndata: {}\n\n"
                return
            yield "".join(map(_frame, events)) or ": still here\n\n"
        if not more:
            await asyncio.sleep(_LOOK_EVERY_S)


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
