"""A free TCP port for each checkout: no two that are there at the same time have the same one.

One register for all configurations of a user. An entry counts for as long as its directory is there.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path

from task_queue.platform import durable
from task_queue.platform.json_files import json_object
from task_queue.platform.lockfile import locked

PORT_VARIABLE = "TASK_QUEUE_PORT"
"""Names the port to ``setup``, ``verify`` and to what carries a task out."""
_FIRST, _COUNT = 20_000, 10_000
"""Below those that kernels give to outgoing connections (from 32768 on Linux)."""
_LOCK_WITHIN_S = 10.0


def port_for(directory: Path, register: Path) -> int | None:
    """The port of the checkout in *directory*, which exists; None where the register cannot be kept, or none is free.

    The one that it had before, unless another program listens there now.
    """
    own = os.path.realpath(directory)
    try:
        durable.make_directory(register.parent)
        with locked(register.with_suffix(".lock"), within_s=_LOCK_WITHIN_S):
            ports = _read(register)
            port = _chosen(own, ports)
            if port is not None and ports.get(own) != port:
                durable.replace(register, json.dumps({**ports, own: port}, indent=1).encode() + b"\n")
            return port
    except OSError:  # TimeoutError is one
        return None


def _chosen(own: str, ports: dict[str, int]) -> int | None:
    of_others = {port for directory, port in ports.items() if directory != own}
    # Two registers, of two users or homes, seldom begin at the same number.
    begin = zlib.crc32(os.fsencode(own)) % _COUNT
    candidates = (_FIRST + (begin + step) % _COUNT for step in range(_COUNT))
    earlier = [ports[own]] if own in ports else []
    return next(
        (port for port in _each(earlier, candidates) if port not in of_others and _is_free(port)), None
    )


def _each(first: list[int], then: Iterator[int]) -> Iterator[int]:
    yield from first
    yield from then


def _read(register: Path) -> dict[str, int]:
    """Of directories that are there; none where the file says nothing that can be used."""
    found = json_object(register)
    if not isinstance(found, dict):
        return {}
    return {
        directory: port
        for directory, port in found.items()
        if isinstance(port, int) and _FIRST <= port < _FIRST + _COUNT and Path(directory).is_dir()
    }


def _is_free(port: int) -> bool:
    """Whether a server could listen there now, on every address of this machine."""
    for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - only tried
        try:
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind((everywhere, port))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return False
    return True
