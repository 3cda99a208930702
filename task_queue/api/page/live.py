"""Parts of a page that are sent again each time that they look different, for as long as a window shows them.

However many windows show the same to the same visitor, it is made once. It is made again when the event log has
grown; now and then in any case; and often while something runs, which says more than there are events.
What a page was rendered with is not made again for its stream, and not sent to a window that has it already.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response
from markupsafe import Markup
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
_MOST_RENDERED = 64
_OVER, _HERE = "over", "here"
"""Events that the page's script knows: nothing follows, with a sentence for people; nothing changed."""
_SHOWN = "shown"
"""In the address of a stream: the version that the page was rendered with. Later ones are ids of events."""


@dataclass(frozen=True, slots=True)
class LivePart:
    """HTML; ``moves``: it may look different soon although no event says so."""

    html: str
    moves: bool


MakePart = Callable[[Installation, Visitor, KeptDocuments], LivePart]


@dataclass(frozen=True)
class _MadePart:
    """A part as it was when its making began, *at*, with the event log up to *end*; times by the monotonic clock."""

    part: LivePart
    end: str
    at: float
    took_s: float

    @cached_property
    def version(self) -> str:
        return hashlib.sha256(self.part.html.encode()).hexdigest()[:16]

    @property
    def good_until(self) -> float:
        """Then it is made again, whatever the event log says; at most a tenth of the time is spent on that."""
        return self.at + (max(_MAKE_RUNNING_EVERY_S, 10 * self.took_s) if self.part.moves else _MAKE_EVERY_S)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Of the making of a part: the end of the event log, and the time by the monotonic clock."""

    end: str
    at: float

    @classmethod
    def now(cls, installation: Installation) -> Beginning:
        return cls(end_of_log(installation), time.monotonic())


@dataclass(frozen=True, slots=True)
class FirstSight:
    """What a page is rendered with, and the address of the stream that goes on from there."""

    html: Markup
    stream: str


@dataclass(slots=True)
class _Shown:
    """One part, as all who look at it see it."""

    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    made: _MadePart | None = None
    """None before it was made first."""
    number: int = 0
    """How often it has changed."""
    over: bool = False
    """It cannot be shown any more."""
    why_over: str = ""
    """Why it will never be shown again; empty where it may be, to who asks again."""
    readers: int = 0
    maker: asyncio.Task[None] | None = None

    async def become(self, made: _MadePart) -> None:
        """Look like that from now on, unless it is known how it looked later."""
        async with self.changed:
            before, self.made = self.made, made if self.made is None or made.at >= self.made.at else self.made
            if before is None or before.version != self.made.version:
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
    """What is shown live at the moment, by address and visitor; what pages were rendered with shortly before."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, Visitor], _Shown] = {}
        self._rendered: dict[tuple[str, Visitor], _MadePart] = {}
        self._lock = threading.Lock()

    def first(self, address: str, seen: Visitor, part: LivePart, begun: Beginning) -> FirstSight:
        """*part* is that whose stream is at *address*; its making was *begun* like that."""
        made = _MadePart(part, begun.end, begun.at, time.monotonic() - begun.at)
        with self._lock:
            self._rendered.pop((address, seen), None)
            self._rendered[address, seen] = made
            if len(self._rendered) > _MOST_RENDERED:
                del self._rendered[next(iter(self._rendered))]
        joint = "&" if "?" in address else "?"
        return FirstSight(Markup(part.html), f"{address}{joint}{_SHOWN}={made.version}")  # noqa: S704 - a template's

    async def follow(
        self, api: ServedApi, request: Request, address: str, seen: Visitor, make: MakePart
    ) -> AsyncGenerator[str, None]:
        """The part at *address* as server-sent events, until it is over or the visitor signed out."""
        key = (address, seen)
        shown = self._shown.setdefault(key, _Shown())
        shown.readers += 1
        try:
            with self._lock:
                rendered = self._rendered.pop(key, None)
            if rendered is not None and time.monotonic() < rendered.at + _MAKE_EVERY_S:
                await shown.become(rendered)
            if shown.maker is None:
                shown.maker = asyncio.create_task(_keep(api, shown, seen, make))
            async for event in _events(api, request, seen, shown):
                yield event
        finally:
            shown.readers -= 1
            if shown.readers == 0:
                if shown.maker is not None:
                    shown.maker.cancel()
                self._shown.pop(key, None)


def first_sight(
    request: Request, address: str, seen: Visitor, part: LivePart, begun: Beginning
) -> FirstSight:
    """*part*, for a page whose stream is at *address*."""
    parts: LiveParts = request.app.state.live_parts
    return parts.first(address, seen, part, begun)


def live(api: ServedApi, request: Request, address: str, seen: Visitor, make: MakePart) -> Response:
    """A stream of what *make* makes, as ``first_sight`` names it. Raises ProblemError where too many are open."""
    parts: LiveParts = request.app.state.live_parts
    return streamed(api, seen.caller, parts.follow(api, request, address, seen, make))


async def _events(
    api: ServedApi, request: Request, seen: Visitor, shown: _Shown
) -> AsyncGenerator[str, None]:
    loop = asyncio.get_running_loop()
    has = request.headers.get("last-event-id") or request.query_params.get(_SHOWN, "")
    number, checked_at, said_at = 0, loop.time(), float("-inf")
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
        if shown.made is None:
            continue
        number = shown.number
        if shown.made.version != has:
            has, said_at = shown.made.version, now
            yield _event(shown.made.part.html, version=has)
        elif now - said_at >= _SAY_EVERY_S:
            said_at = now
            yield _event("", name=_HERE)
    if shown.why_over:
        yield _event(shown.why_over, name=_OVER)


def _event(data: str, *, name: str = "", version: str = "") -> str:
    head = (f"id: {version}\n" if version else "") + (f"event: {name}\n" if name else "")
    return head + "".join(f"data: {line}\n" for line in data.splitlines() or [""]) + "\n"


async def _keep(api: ServedApi, shown: _Shown, seen: Visitor, make: MakePart) -> None:
    """Make it again whenever it may look different; until cancelled."""
    loop = asyncio.get_running_loop()
    watcher = api.folder_watch.watcher()
    try:
        while not (api.ends.is_set() or shown.over):
            at = loop.time()
            installation = api.installation.again()
            is_watched = watcher.watch(await run_in_threadpool(_folders_of, installation))
            end = await run_in_threadpool(end_of_log, installation)
            if shown.made is None or end != shown.made.end or at >= shown.made.good_until:
                try:
                    part = await run_in_threadpool(make, installation, seen, api.kept)
                except UnknownTaskError as error:
                    await shown.end(f"{error}."[:1].upper() + f"{error}."[1:])
                    return
                except (TaskQueueError, OSError):
                    await shown.end()
                    return
                made = _MadePart(part, end, at, loop.time() - at)
                await shown.become(made)
                await asyncio.sleep(
                    max(_REST_S, 2 * made.took_s)
                )  # at most a third of the time is spent on it
            until = shown.made.good_until if shown.made is not None else at
            await watcher.wait(max(0.0, until - loop.time()) if is_watched else _REST_S)
    finally:
        watcher.close()


def _folders_of(installation: Installation) -> tuple[Path, ...]:
    try:
        return folders_of_log(installation)
    except OSError:
        return ()
