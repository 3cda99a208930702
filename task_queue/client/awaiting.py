"""The client for programs with asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2

from task_queue.client.answers import EventAnswer
from task_queue.client.asking_again import Attempts, NoAnswer, Wait
from task_queue.client.following import Following
from task_queue.client.operation import HttpAnswer, Operation
from task_queue.client.operations import Operations
from task_queue.client.server import server_at
from task_queue.client.wire import (
    connection_settings,
    failure_of,
    reply_of,
    sending,
    transport_settings,
)

T = TypeVar("T")


class AsyncClient(Operations):
    """As ``Client``, with the same arguments; the tasks of one event loop may share it."""

    def __init__(
        self,
        server: str,
        *,
        token: str | None = None,
        token_file: Path | str | None = None,
        ca_file: Path | str | None = None,
        patience_s: float = 30.0,
    ) -> None:
        self._server = server_at(server, token=token, token_file=token_file)
        self._patience_s = patience_s
        unix = transport_settings(self._server)
        self._http = httpx2.AsyncClient(
            **connection_settings(self._server, ca_file),
            transport=httpx2.AsyncHTTPTransport(**unix) if self._server.socket else None,
        )

    async def carry_out(self, operation: Operation[T]) -> T:
        """Ask, again where that is safe."""
        attempts = Attempts(operation, patience_s=self._patience_s)
        while isinstance(answer := attempts.after(await self._ask(operation)), Wait):
            await asyncio.sleep(answer.seconds)
        return answer

    async def events(
        self, *, task: str | None = None, after: str | None = None, types: Sequence[str] = ()
    ) -> AsyncGenerator[EventAnswer, None]:
        """As ``Client.events``."""
        following = Following(task=task, after=after, types=types)
        while True:
            outcome: HttpAnswer | NoAnswer | None = None
            try:
                async with self._http.stream(**sending(following.question(), self._server)) as response:
                    if response.status_code == 200:
                        async for data in response.aiter_bytes():
                            for event in following.events_in(data):
                                yield event
                    else:
                        await response.aread()
                        outcome = reply_of(response)
            except httpx2.TransportError as error:
                outcome = failure_of(error, self._server)
            await asyncio.sleep(following.pause_after(outcome))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, operation: Operation[Any]) -> HttpAnswer | NoAnswer:
        try:
            return reply_of(await self._http.request(**sending(operation, self._server)))
        except httpx2.TransportError as error:
            return failure_of(error, self._server)
