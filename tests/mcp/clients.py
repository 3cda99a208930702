"""The client of the package ``mcp``, against ``task-queue mcp`` as a process, and against the API."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from tests.acceptance.rig import Rig

Talk = Callable[[Client], Awaitable[Any]]


def over_stdio(
    rig: Rig,
    talk: Talk,
    *options: str,
    mode: str = "auto",
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    above: Sequence[str] = (),
) -> Any:
    """What *talk* gives back; *above*: words of a command that starts the server."""
    words = [*above, sys.executable, "-m", "task_queue.cli", "--config", str(rig.config), "mcp", *options]
    # The client adds a few variables of this process; those of the bench win.
    parameters = StdioServerParameters(
        command=words[0], args=words[1:], env={**rig.environment, **(environment or {})}, cwd=cwd or rig.home
    )

    async def speak() -> Any:
        with (rig.home / "mcp.err").open("a") as errors:
            transport = stdio_client(parameters, errlog=errors)
            async with Client(transport, mode=mode, read_timeout_seconds=60) as client:
                return await talk(client)

    return asyncio.run(asyncio.wait_for(speak(), 90))


def over_http(url: str, token: str | None, talk: Talk, *, mode: str = "auto") -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def speak() -> Any:
        async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, mode=mode, read_timeout_seconds=60) as client:
                return await talk(client)

    return asyncio.run(asyncio.wait_for(speak(), 90))


def text_of(result: CallToolResult) -> str:
    first = result.content[0]
    assert first.type == "text"
    return first.text
