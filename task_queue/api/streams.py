"""Streams of server-sent events: they wait for what follows, and end with their credential or the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Header
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from task_queue.api.problems import ProblemError
from task_queue.api.settings import ServedApi
from task_queue.domain.policy import Caller

EVENT_STREAM = "text/event-stream"
AcceptNow = Annotated[
    str,
    Header(
        max_length=500,
        description=f"`{EVENT_STREAM}` for a stream that stays open.",
        examples=[EVENT_STREAM],
    ),
]
LastEvent = Annotated[
    str | None,
    Header(
        max_length=200, description="The id of the last event that came, to go on after it.", examples=["71"]
    ),
]
_MOST = 512
_MOST_OF_ONE = 256
_REST_S = 0.25
_CHECK_EVERY_S = 4.0
_SAY_EVERY_S = 15.0
_CREDENTIAL_ENDED = "event: credential_ended\ndata: {}\n\n"


@dataclass(frozen=True, slots=True)
class Wave:
    """What one look found. ``text``: whole frames, perhaps none."""

    text: str
    more_at_once: bool = False
    is_last: bool = False


def stream(
    api: ServedApi,
    caller: Caller,
    look: Callable[[], Wave],
    *,
    close: Callable[[], None],
    folders: Callable[[], Iterable[Path]],
) -> StreamingResponse:
    """Answers with what *look* finds, again and again, in a thread; *close* is called at the end.

    *folders* is quick: it says in which ones something changes when there is more to be found.

    Raises ProblemError where too many are open.
    """
    try:
        return streamed(api, caller, _waves(api, caller, look, close, folders))
    except ProblemError:
        close()
        raise


def streamed(api: ServedApi, caller: Caller, frames: AsyncGenerator[str, None]) -> StreamingResponse:
    """Answers with *frames*. Raises ProblemError where too many streams are open."""
    if api.streams.total() >= _MOST or api.streams[caller.name] >= _MOST_OF_ONE:
        number = api.streams.total()
        raise ProblemError(
            503, "too_many_streams", f"{number} streams are open", headers={"retry-after": "5"}
        )
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_counted(api, caller, frames), media_type=EVENT_STREAM, headers=headers)


async def _counted(
    api: ServedApi, caller: Caller, frames: AsyncGenerator[str, None]
) -> AsyncGenerator[str, None]:
    api.streams[caller.name] += 1
    try:
        yield "retry: 2000\n\n"
        async with aclosing(frames):
            async for text in frames:
                yield text
    finally:
        api.streams[caller.name] -= 1
        if not api.streams[caller.name]:
            del api.streams[caller.name]


async def _waves(
    api: ServedApi,
    caller: Caller,
    look: Callable[[], Wave],
    close: Callable[[], None],
    folders: Callable[[], Iterable[Path]],
) -> AsyncGenerator[str, None]:
    """Until its reader goes, the credential is not good any more, nothing can follow, or the process ends."""
    loop = asyncio.get_running_loop()
    checked = said = loop.time()
    watcher = api.folder_watch.watcher()
    watched: tuple[Path, ...] = ()
    is_watched, has_news = False, True

    try:
        while not api.ends.is_set():
            now = loop.time()
            if now - checked >= _CHECK_EVERY_S:
                checked = now
                if not await api.credentials.is_good(api.installation.again(), caller):
                    yield _CREDENTIAL_ENDED
                    return
            is_due = now - said >= _SAY_EVERY_S
            if has_news or is_due:
                watched = tuple(folders())
                is_watched = watcher.watch(watched)
                wave = await run_in_threadpool(look)
                if wave.text and not await api.credentials.is_good_from_now(api.installation, caller):
                    yield _CREDENTIAL_ENDED
                    return
                if wave.text or is_due:
                    said = now
                    yield wave.text or ": still here\n\n"
                if wave.is_last:
                    return
                if wave.more_at_once or tuple(folders()) != watched:
                    continue
                if wave.text:
                    await asyncio.sleep(_REST_S)
            has_news = (
                await watcher.wait(checked + _CHECK_EVERY_S - loop.time() if is_watched else _REST_S)
                or not is_watched
            )
    finally:
        watcher.close()
        close()
