"""The preloaded process that runners are forked from: what takes a second to import is imported once.

What a command needs comes first, and the SDK when an agent waits, or nothing has waited for a while: a command never
waits for it, and a daemon that only runs commands, or has just started with the machine, does not pay for it.

Started by the daemon with the descriptor of a socket (``platform/isolated.py``). Speaks over it: the
daemon sends orders, each a length and JSON; the answer is the runner's process id. Ends when the daemon
does; the runners, in sessions of their own, go on. Single-threaded, because forking a process with
threads copies their locks but not the threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback

from task_queue.domain.document.choices import Workflow
from task_queue.platform.forking import HEADER, MARKER_SPACE
from task_queue.platform.identity import MARKER_VARIABLE, own_identity
from task_queue.platform.records import adapter, decode
from task_queue.platform.wakeup import readable
from task_queue.ports.executor import ExecutorKind, Order
from task_queue.runner.process import carry_out
from task_queue.store.event_log import EventLog
from task_queue.store.opening import open_log

_FOR_COMMANDS = "task_queue.runner.command"
_FOR_AGENTS = "task_queue.runner.phases"
_QUIET_BEFORE_SDK_S = 5.0
_REAP_EVERY_S = 10.0
_OF_A_RUNNER = ("PATH", "HOME", "LANG", "TZ")
"""What libraries look for. All else is the agent's, and goes to it alone: what a runner starts inherits this."""


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    # Blocked here, so that a runner can install its handlers before the first signal reaches it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    adapter(Order)
    own_identity()  # what of it is the same in every runner is looked up once
    _preload(_FOR_COMMANDS)
    has_sdk = False
    while True:
        wait_s = _REAP_EVERY_S if has_sdk else _QUIET_BEFORE_SDK_S
        is_readable = bool(readable(control.fileno(), timeout_s=wait_s))
        _reap()
        raw = _receive(control) if is_readable else b""
        if raw is None:
            return
        if not has_sdk and (not raw or _is_for_an_agent(raw)):
            _preload(_FOR_AGENTS)
            has_sdk = True
        if not raw:
            continue
        pid = os.fork()
        if pid == 0:
            control.close()
            _run(raw)
        control.sendall(HEADER.pack(pid))


def _preload(module: str) -> None:
    importlib.import_module(module)
    gc.collect()
    gc.freeze()  # collected objects would be copied page by page into every runner


def _is_for_an_agent(raw: bytes) -> bool:
    """As ``Order.uses_agent``, without making an order of it: that is the runner's to do."""
    order = json.loads(raw)
    is_audited = order["settings"]["workflow"] == Workflow.AUDITED
    return bool(is_audited or order["executor"] == ExecutorKind.CLAUDE)


def _run(raw: bytes) -> None:
    """The forked child; never returns."""
    code = 1
    try:
        os.setsid()
        order = decode(Order, raw)
        show_marker(order.marker)
        log = open_log(order.log, order.claim)
        _write_errors_to(log.errors())
        os.environ.clear()
        os.environ.update({name: order.env[name] for name in _OF_A_RUNNER if name in order.env})
        os.environ[MARKER_VARIABLE] = order.marker
        if order.events is None:
            carry_out(order, log)
        else:
            carry_out(order, log, EventLog(order.events).emit)
        code = 0
    except BaseException:  # noqa: BLE001 - the process ends here; its log keeps the reason
        traceback.print_exc()
    finally:
        os._exit(code)


def show_marker(marker: str) -> None:
    """Write *marker* into this process' own environment block, where ``/proc/<pid>/environ`` shows it.

    A forked process shows the block it was started with, whatever it sets later; so the template is
    started with room for the marker, and this fills the room in place.
    """
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    address = libc.getenv(MARKER_VARIABLE.encode())
    value = marker.encode(errors="surrogateescape")
    if address is None or len(value) >= MARKER_SPACE:
        return
    ctypes.memmove(address, value.ljust(MARKER_SPACE, b"\0"), MARKER_SPACE)


def _write_errors_to(fd: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(fd, 1)
    os.dup2(fd, 2)


def _receive(control: socket.socket) -> bytes | None:
    header = _exactly(control, HEADER.size)
    return None if header is None else _exactly(control, HEADER.unpack(header)[0])


def _exactly(control: socket.socket, size: int) -> bytes | None:
    """*size* bytes, None once the daemon is gone."""
    parts: list[bytes] = []
    while size:
        part = control.recv(min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
