"""The end of a client's questions ends the server only when each of them has its answer."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

_PATIENCE_S = 10.0
_Incoming = SessionMessage | Exception


class _Outgoing(Protocol):
    async def send(self, item: SessionMessage, /) -> None: ...
    async def aclose(self) -> None: ...


@asynccontextmanager
async def all_answers(
    incoming: AsyncIterable[_Incoming], outgoing: _Outgoing
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[_Incoming], MemoryObjectSendStream[SessionMessage]]]:
    """The same streams; *incoming* ends for the server at most 10 s later than for the client.

    The package ``mcp`` drops what it still works on when its input ends (``JSONRPCDispatcher.run``): a client that
    writes its questions and closes its end, as a pipe of the shell does, would miss the last answers.
    """
    open_questions = _OpenQuestions()
    to_server, questions = anyio.create_memory_object_stream[_Incoming]()
    answers, from_server = anyio.create_memory_object_stream[SessionMessage](math.inf)

    async def ask() -> None:
        async with to_server:
            async for message in incoming:
                open_questions.asked(message)
                await to_server.send(message)
            with anyio.move_on_after(_PATIENCE_S):
                await open_questions.none_left()

    async def answer() -> None:
        async with aclosing(outgoing):
            async for message in from_server:
                await outgoing.send(message)
                open_questions.answered(message)

    async with anyio.create_task_group() as relays:
        relays.start_soon(ask)
        relays.start_soon(answer)
        yield questions, answers


class _OpenQuestions:
    def __init__(self) -> None:
        self._open: set[object] = set()
        self._changed = anyio.Event()

    def asked(self, message: _Incoming) -> None:
        if not isinstance(message, SessionMessage):
            return
        said = message.message
        if isinstance(said, JSONRPCRequest):
            self._open.add(said.id)
        elif isinstance(said, JSONRPCNotification) and said.method == "notifications/cancelled":
            self._close((said.params or {}).get("requestId"))

    def answered(self, message: SessionMessage) -> None:
        if isinstance(message.message, JSONRPCResponse | JSONRPCError):
            self._close(message.message.id)

    async def none_left(self) -> None:
        while self._open:
            self._changed = anyio.Event()
            await self._changed.wait()

    def _close(self, question: object) -> None:
        self._open.discard(question)
        self._changed.set()
