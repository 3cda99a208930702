"""The sockets of the API, bound here so that the unix socket is never open to another user, not even at first."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

from task_queue.domain.errors import TaskQueueError
from task_queue.domain.listening import TcpAddress
from task_queue.platform import durable

_BACKLOG = 512
_LONGEST_PATH = 107


def unix_listener(path: Path) -> socket.socket:
    """For our user only; replaces what a dead process left there. Hold the API's lock. Raises TaskQueueError."""
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise TaskQueueError(
            f"{path} is longer than the {_LONGEST_PATH} bytes that the path of a unix socket may have",
            hint="let XDG_RUNTIME_DIR name a folder with a shorter path",
        )
    durable.make_directory(path.parent)
    _remove_socket(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener


def tcp_listener(address: TcpAddress) -> socket.socket:
    """Raises TaskQueueError."""
    family = socket.AF_INET6 if address.host.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address.host), address.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        hint = "another program listens there; choose another port in api.listen"
        raise TaskQueueError(
            f"cannot listen at {address}: {error.strerror}",
            hint=hint if error.errno == errno.EADDRINUSE else None,
        ) from error
    return listener


def spelled(listeners: Iterable[socket.socket]) -> tuple[str, ...]:
    """Where *listeners* can be reached: paths of unix sockets, addresses with their ports."""
    return tuple(_spelled(listener) for listener in listeners)


def _spelled(listener: socket.socket) -> str:
    name = listener.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"


def _remove_socket(path: Path) -> None:
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise TaskQueueError(f"{path} is in the way: it is not a socket", hint="move it away, then try again")
    path.unlink()
