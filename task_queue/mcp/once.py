"""One message over HTTP: a server is made for it and its caller, and nothing is left of it afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments
from task_queue.domain.policy import Caller
from task_queue.mcp.desk import Desk
from task_queue.mcp.server import server_for

_AsgiMessage = MutableMapping[str, Any]
Exchange = tuple[
    _AsgiMessage, Callable[[], Awaitable[_AsgiMessage]], Callable[[_AsgiMessage], Awaitable[None]]
]
"""The scope, receive and send of ASGI."""


async def answer_once(
    installation: Installation, caller: Caller, kept: KeptDocuments, exchange: Exchange
) -> None:
    """Of either generation of clients: those that begin with ``initialize`` need no session here."""
    server = server_for(Desk(installation, caller, kept=kept))
    manager = StreamableHTTPSessionManager(server, stateless=True, json_response=True)
    async with manager.run():
        await manager.handle_request(*exchange)
