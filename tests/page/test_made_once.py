"""How often the board is made: once for a page and its stream, and again when something happens; by counts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.types import ASGIApp, Message

from task_queue.api.application import application
from task_queue.api.page import board as board_page
from task_queue.api.settings import PEER, ServedApi
from task_queue.app.board import board
from task_queue.app.claiming import WorkerDesk
from task_queue.config.api_settings import ApiSettings
from task_queue.domain.event_record import record_of
from task_queue.domain.events import TaskDropped
from task_queue.domain.task import TaskId
from task_queue.store.event_log import EventLog
from tests.app.bench import Bench

_PATIENCE_S = 20
_WINDOWS = 50


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path if name == "HOME" else tmp_path / name.lower()))
    return Bench(tmp_path)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each time that the board was made."""
    made: list[None] = []

    def counted(*arguments: Any) -> Any:
        made.append(None)
        return board(*arguments)

    monkeypatch.setattr(board_page, "board", counted)
    return made


class _Browser:
    """Of the owner, as requests over the socket; streams are read while they are open."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.ends = asyncio.Event()
        installation = bench.installation
        self._app: ASGIApp = application(ServedApi(installation, ApiSettings(), self.ends, Mock(WorkerDesk)))
        self._log = EventLog(installation.locations.events)

    def note(self) -> None:
        """Something happens."""
        self._log.append(record_of(TaskDropped("ad-hoc", TaskId("task-new"))))

    async def page(self) -> str:
        async with aclosing(self.parts("/")) as parts:
            return "".join([part async for part in parts])

    async def parts(self, path: str, **headers: str) -> AsyncGenerator[str]:
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "client": ("unix", 0),
            "server": ("localhost", 80), PEER: os.geteuid(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        given: asyncio.Queue[str | None] = asyncio.Queue()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                given.put_nowait(message["body"].decode())
                if not message.get("more_body", False):
                    given.put_nowait(None)

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        asked = asyncio.ensure_future(self._app(scope, receive, send))
        try:
            while (part := await asyncio.wait_for(given.get(), _PATIENCE_S)) is not None:
                yield part
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    async def event(self, stream: AsyncGenerator[str]) -> str:
        """The next one."""
        while (part := await anext(stream)).startswith("retry"):
            pass
        return part


def stream_in(page: str) -> str:
    return page.partition('hx-sse:connect="')[2].partition('"')[0].replace("&amp;", "&")


def test_a_page_and_its_streams_make_the_board_once(bench: Bench, made: list[None]) -> None:
    """In however many windows it is open; and what happens is made once for all of them."""

    async def look() -> None:
        browser = _Browser(bench)
        address = stream_in(await browser.page())
        async with AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(aclosing(browser.parts(address))) for _ in range(_WINDOWS)
            ]
            for stream in streams:
                assert await browser.event(stream) == "event: here\ndata: \n\n"
            assert len(made) == 1
            bench.place("pending", "task-new", "# Something new\n")
            browser.note()
            for stream in streams:
                assert "Something new" in await browser.event(stream)
            assert len(made) == 2
        browser.ends.set()

    asyncio.run(look())


def test_a_task_that_may_start_now_does_not_make_the_board_another_one_each_second(bench: Bench) -> None:
    """When it would start is an estimate, and is shown to the minute."""
    bench.place("pending", "task-new", "# Something new\n")

    async def look() -> list[str]:
        browser, shown = _Browser(bench), list[str]()
        bench.clock.time = bench.clock.time.replace(second=5)
        for _ in range(2):
            shown.append(stream_in(await browser.page()))
            bench.clock.advance(30)
        return shown

    first, second = asyncio.run(look())
    assert first == second


def test_a_stream_that_comes_back_gets_only_what_its_window_does_not_show(
    bench: Bench, made: list[None]
) -> None:
    """By the id of the last event, whatever the address says: also where all is again as when the page was loaded."""

    async def look() -> None:
        browser = _Browser(bench)
        address = stream_in(await browser.page())
        place = bench.place("pending", "task-new", "# Something new\n")
        browser.note()
        async with aclosing(browser.parts(address)) as stream:
            shown = await browser.event(stream)
            while "Something new" not in shown:
                shown = await browser.event(stream)
        version = shown.partition("id: ")[2].partition("\n")[0]
        async with aclosing(browser.parts(address, last_event_id=version)) as stream:
            assert await browser.event(stream) == "event: here\ndata: \n\n"
        place.unlink()
        browser.note()
        async with aclosing(browser.parts(address, last_event_id=version)) as stream:
            assert "Something new" not in (again := await browser.event(stream))
            assert again.startswith("id: ")
        browser.ends.set()

    asyncio.run(look())
    assert made
