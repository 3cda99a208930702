"""What both clients need of httpx2: how it is set up, what is sent, and what its failures mean."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx2

from task_queue import __version__
from task_queue.client.asking_again import NoAnswer
from task_queue.client.operation import HttpAnswer, Operation
from task_queue.client.server import ServerAddress
from task_queue.domain.errors import TaskQueueError

_CONNECTING_TAKES_S = 10.0
# Shorter than a server keeps an idle connection, so that no question goes into one that is being closed.
_LIMITS = httpx2.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=2.0)


def connection_settings(server: ServerAddress, ca_file: Path | str | None) -> dict[str, Any]:
    """Arguments of a client: no redirects, which could carry a token away, and no proxy to this machine.

    Raises TaskQueueError.
    """
    return {
        "base_url": server.url,
        "headers": {"user-agent": f"task-queue/{__version__}"},
        "follow_redirects": False,
        "trust_env": not server.is_here,
        "verify": _verification(ca_file),
        "limits": _LIMITS,
    }


def transport_settings(server: ServerAddress) -> dict[str, Any]:
    """Arguments of a transport to a unix socket."""
    return {"uds": server.socket, "limits": _LIMITS}


def sending(operation: Operation[Any], server: ServerAddress) -> dict[str, Any]:
    """Arguments of a request. Raises TaskQueueError if there is no usable token."""
    return {
        "method": operation.method,
        "url": operation.path,
        "params": list(operation.query) or None,
        "content": operation.body,
        "headers": {**operation.headers, **server.authorization()},
        "timeout": httpx2.Timeout(operation.takes_s, connect=_CONNECTING_TAKES_S),
    }


def reply_of(response: httpx2.Response) -> HttpAnswer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(response.status_code, headers, response.content)


def failure_of(error: httpx2.TransportError, server: ServerAddress) -> NoAnswer:
    sent = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
    where = server.url if server.socket is None else server.socket
    told = str(error) or type(error).__name__
    return NoAnswer(f"no answer from {where}: {told}", sent)


def _verification(ca_file: Path | str | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:  # an SSLError is an OSError
        raise TaskQueueError(
            f"the certificates in {ca_file} cannot be used: {error.strerror or error}"
        ) from error
