"""Parts of a page that are sent again each time that they look different, for as long as a window shows them.

However many windows show the same to the same visitor, it is made once. It is made again when the event log has
grown; now and then in any case; and often while something runs, which says more than there are events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from task_queue.api.page.visitors import SignInNeededError, Visitor, visitor
from task_queue.api.settings import ServedApi
from task_queue.api.streams import streamed
from task_queue.app.event_feed import end_of_log, folders_of_log
from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments
from task_queue.domain.errors import TaskQueueError, UnknownTaskError

_REST_S = 0.4
_MAKE_RUNNING_EVERY_S = 1.0
_MAKE_EVERY_S = 10.0
_SAY_EVERY_S = 15.0
_CHECK_EVERY_S = 5.0
_OVER, _HERE = "over", "here"
"""Events that the page's script knows: nothing follows, with a sentence for people; nothing changed."""


@dataclass(frozen=True, slots=True)
class LivePart:
    """HTML; ``moves``: it may look different soon although no event says so."""

    html: str
    moves: bool


MakePart = Callable[[Installation, Visitor, KeptDocuments], LivePart]


@dataclass(slots=True)
class _Shown:
    """One part, as all who look at it see it."""

    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    html: str | None = None
    """None before it was made first."""
    number: int = 0
    """How often it has changed."""
    over: bool = False
    """It cannot be shown any more."""
    why_over: str = ""
    """Why it will never be shown again; empty where it may be, to who asks again."""
    readers: int = 0
    maker: asyncio.Task[None] | None = None

    async def become(self, html: str) -> None:
        """Look like that from now on."""
        async with self.changed:
            if html != self.html:
                self.html = html
                self.number += 1
            self.changed.notify_all()

    async def end(self, why: str = "") -> None:
        async with self.changed:
            self.over, self.why_over = True, why
            self.changed.notify_all()

    async def wait_for_change(self, number: int) -> None:
        """Until it has changed more than *number* times, is over, or some time has passed."""
        async with self.changed:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_EVERY_S):
                    while self.number <= number and not self.over:
                        await self.changed.wait()


class LiveParts:
    """What is shown live at the moment, by address and visitor."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, Visitor], _Shown] = {}

    async def follow(
        self, api: ServedApi, request: Request, seen: Visitor, make: MakePart
    ) -> AsyncGenerator[str, None]:
        """The part at the address of *request* as server-sent events, until it is over or the visitor signed out."""
        key = (str(request.url), seen)
        shown = self._shown.setdefault(key, _Shown())
        if shown.maker is None:
            shown.maker = asyncio.create_task(_keep(api, shown, seen, make))
        shown.readers += 1
        try:
            async for event in _events(api, request, seen, shown):
                yield event
        finally:
            shown.readers -= 1
            if shown.readers == 0:
                shown.maker.cancel()
                self._shown.pop(key, None)


def live(api: ServedApi, request: Request, seen: Visitor, make: MakePart) -> Response:
    """A stream of what *make* makes. Raises ProblemError where too many streams are open."""
    parts: LiveParts = request.app.state.live_parts
    return streamed(api, seen.caller, parts.follow(api, request, seen, make))


async def _events(
    api: ServedApi, request: Request, seen: Visitor, shown: _Shown
) -> AsyncGenerator[str, None]:
    loop = asyncio.get_running_loop()
    number, checked_at, said_at = 0, loop.time(), loop.time()
    while not (api.ends.is_set() or shown.over):
        await shown.wait_for_change(number)
        now = loop.time()
        if now - checked_at >= _CHECK_EVERY_S:
            checked_at = now
            try:
                if await visitor(request) != seen:
                    return  # it may see other things now; the browser comes again
            except SignInNeededError:
                yield _event("You are signed out; load the page again to sign in.", name=_OVER)
                return
        if shown.number > number and shown.html is not None:
            number, said_at = shown.number, now
            yield _event(shown.html)
        elif now - said_at >= _SAY_EVERY_S:
            said_at = now
            yield _event("", name=_HERE)
    if shown.why_over:
        yield _event(shown.why_over, name=_OVER)


def _event(data: str, *, name: str = "") -> str:
    head = f"event: {name}\n" if name else ""
    return head + "".join(f"data: {line}\n" for line in data.splitlines() or [""]) + "\n"


async def _keep(api: ServedApi, shown: _Shown, seen: Visitor, make: MakePart) -> None:
    """Make it again whenever it may look different; until cancelled."""
    loop = asyncio.get_running_loop()
    end, made_at, moves, takes_s = "", 0.0, False, 0.0
    watcher = api.folder_watch.watcher()
    try:
        while not (api.ends.is_set() or shown.over):
            now = loop.time()
            installation = api.installation.again()
            is_watched = watcher.watch(await run_in_threadpool(_folders_of, installation))
            grown = await run_in_threadpool(end_of_log, installation)
            after = _MAKE_RUNNING_EVERY_S if moves else _MAKE_EVERY_S
            if shown.html is None or grown != end or now - made_at >= after:
                end, made_at = grown, now
                try:
                    part = await run_in_threadpool(make, installation, seen, api.kept)
                except UnknownTaskError as error:
                    await shown.end(f"{error}."[:1].upper() + f"{error}."[1:])
                except (TaskQueueError, OSError):
                    await shown.end()
                else:
                    moves, takes_s = part.moves, loop.time() - now
                    await shown.become(part.html)
                    after = _MAKE_RUNNING_EVERY_S if moves else _MAKE_EVERY_S
            await asyncio.sleep(max(_REST_S, takes_s))  # at most half of the time is spent on it
            await watcher.wait(made_at + after - loop.time() if is_watched else _REST_S)
    finally:
        watcher.close()


def _folders_of(installation: Installation) -> tuple[Path, ...]:
    try:
        return folders_of_log(installation)
    except OSError:
        return ()
