"""A transport that sees every raw frame, also those that the SDK's parser drops (heartbeats, new kinds)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, Transport
from claude_agent_sdk._internal.transport.subprocess_cli import (
    SubprocessCLITransport,  # pyright: ignore[reportPrivateUsage]  # the SDK offers no public way to raw frames
)

from task_queue.agents.claude.options import Launch

See = Callable[[str, dict[str, Any]], None]


class _LaunchedCli(SubprocessCLITransport):
    """The SDK's own subprocess transport, with *words* before the command of the CLI."""

    def __init__(self, options: ClaudeAgentOptions, words: Sequence[str]) -> None:
        super().__init__(prompt=_nothing(), options=options)
        self._words = words

    def _build_command(self) -> list[str]:
        return [*self._words, *super()._build_command()]


class RecordingTransport(Transport):
    """Starts the CLI by *launch*; *see* gets each frame with its direction before the SDK does."""

    def __init__(self, options: ClaudeAgentOptions, launch: Launch, see: See) -> None:
        self._inner = _LaunchedCli(options, launch.words)
        self._handed_over = launch.handed_over
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
        await self._inner.write(self._handed_over)

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
