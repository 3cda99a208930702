"""A transport that sees every raw frame, also those that the SDK's parser drops (heartbeats, new kinds)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, Transport
from claude_agent_sdk._internal.transport.subprocess_cli import (
    SubprocessCLITransport,  # pyright: ignore[reportPrivateUsage]  # the SDK offers no public way to raw frames
)

See = Callable[[str, dict[str, Any]], None]


class RecordingTransport(Transport):
    """The SDK's own subprocess transport; *see* gets each frame with its direction before the SDK does."""

    def __init__(self, options: ClaudeAgentOptions, see: See) -> None:
        self._inner = SubprocessCLITransport(prompt=_nothing(), options=options)
        self._see = see
        self._process: Any = None
        self.spawned = asyncio.Event()
        """The CLI's process exists, so that it can be ended."""

    @property
    def process(self) -> Any:
        """The CLI's process (anyio), None before it was started; stays readable after ``close``."""
        return self._process

    async def connect(self) -> None:
        await self._inner.connect()
        self._process = getattr(self._inner, "_process", None)
        self.spawned.set()

    async def write(self, data: str) -> None:
        for line in data.splitlines():
            self._see("out", json.loads(line))
        await self._inner.write(data)

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        async for frame in self._inner.read_messages():
            self._see("in", frame)
            yield frame

    async def close(self) -> None:
        await self._inner.close()

    async def end_input(self) -> None:
        await self._inner.end_input()

    def is_ready(self) -> bool:
        return self._inner.is_ready()


async def _nothing() -> AsyncIterator[dict[str, Any]]:
    frames: tuple[dict[str, Any], ...] = ()
    for frame in frames:
        yield frame
