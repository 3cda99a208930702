"""The process: sockets, signals, and uvicorn without its clock.

uvicorn wakes ten times a second to look whether it is to end. Here it waits for that to be said, so that an idle API
costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from task_queue.api.application import application
from task_queue.api.guard import RequestGuard
from task_queue.api.listeners import spelled, tcp_listener, unix_listener
from task_queue.api.settings import PEER, ServedApi
from task_queue.app.api_process import note_started, settings_to_serve
from task_queue.app.claiming import WorkerDesk
from task_queue.app.installation import Installation
from task_queue.app.submitting import forget_old_submissions
from task_queue.config.api_settings import ApiSettings
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.listening import hosts_of, tcp_address
from task_queue.platform import durable
from task_queue.platform.lockfile import FileLock

log = logging.getLogger(__name__)
_HEAD_TAKES_S = 15.0
_READER_TAKES_S = 30.0
_KEPT_OPEN_S = 75
_LAST_ANSWERS_S = 5
_LARGEST_HEAD = 32 * 1024


def serve(installation: Installation, *, ends_with_stdin: bool) -> None:
    """Serve until a signal; with *ends_with_stdin* until stdin is closed, too, which its starter holds open.

    Raises ConfigError, TaskQueueError where the API runs already or cannot listen, OSError.
    """
    settings = settings_to_serve(installation)
    locations = installation.locations
    durable.make_directory(locations.state_dir)
    lock = FileLock(locations.api_lock)
    if not lock.acquire(f"pid {os.getpid()}"):
        raise TaskQueueError(
            f"the API of {locations.config} is served already ({lock.holder()})",
            hint="see where with: task-queue status",
        )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        forget_old_submissions(installation)
        addresses = [tcp_address(text) for text in dict.fromkeys(settings.listen)]
        unix = [unix_listener(locations.api_socket) for address in addresses if address is None]
        tcp = [tcp_listener(address) for address in addresses if address is not None]
        note_started(
            locations.api_state, pid=os.getpid(), now=installation.now(), listen=spelled([*unix, *tcp])
        )
        sys.stderr.write(f"the API listens at {', '.join(spelled([*unix, *tcp]))}\n")
        sys.stderr.flush()
        asyncio.run(_serve(installation, settings, unix, tcp, ends_with_stdin=ends_with_stdin))
    finally:
        locations.api_socket.unlink(missing_ok=True)
        lock.release()


async def _serve(
    installation: Installation,
    settings: ApiSettings,
    unix: list[socket.socket],
    tcp: list[socket.socket],
    *,
    ends_with_stdin: bool,
) -> None:
    end, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if ends_with_stdin:
        loop.add_reader(0, _end_with_stdin, end)
    desk = WorkerDesk(installation, changed=lambda: _tell(loop, api))
    api = ServedApi(installation, settings, end, desk)
    app = application(api)
    guarded = RequestGuard(app, hosts=hosts_of(settings.listen) | {host.lower() for host in settings.hosts})
    servers: list[tuple[_QuietServer, list[socket.socket]]] = []
    if unix:
        local = _OwnersDoor(RequestGuard(app, hosts=None))
        servers.append((_QuietServer(_configuration(local, None), end), unix))
    if tcp:
        servers.append((_QuietServer(_configuration(guarded, settings), end), tcp))
    desk.start()
    try:
        await asyncio.gather(
            *(server.serve(sockets=sockets) for server, sockets in servers), _end_of_waits(api)
        )
    finally:
        await run_in_threadpool(desk.stop)


def _tell(loop: asyncio.AbstractEventLoop, api: ServedApi) -> None:
    """From any thread: those who wait for a task look again."""
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(api.note_change)


async def _end_of_waits(api: ServedApi) -> None:
    await api.ends.wait()
    api.note_change()
    api.folder_watch.end_waits()


def _end_with_stdin(end: asyncio.Event) -> None:
    if not os.read(0, 4096):
        asyncio.get_running_loop().remove_reader(0)
        end.set()


def _configuration(app: ASGIApp, settings: ApiSettings | None) -> uvicorn.Config:
    """*settings*: where connections come over the network."""
    tls = None if settings is None else settings.tls
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEPT_OPEN_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
        h11_max_incomplete_event_size=_LARGEST_HEAD,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )


class _QuietServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, end: asyncio.Event) -> None:
        super().__init__(config)
        self._end = end

    async def main_loop(self) -> None:
        await self._end.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """The process has its own handlers, for all servers."""
        yield


class _Protocol(H11Protocol):
    """Closes a connection on which no request has come whole in time, or whose reader takes nothing.

    uvicorn waits for ever, with what it would send in memory.
    """

    _slowness: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        if self.client is None:
            self.client = ("unix", _peer_of(transport))
        self._patience = self.loop.call_later(_HEAD_TAKES_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        if self._slowness is not None:
            self._slowness.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._slowness = self.loop.call_later(_READER_TAKES_S, self.transport.abort)

    def resume_writing(self) -> None:
        if self._slowness is not None:
            self._slowness.cancel()
        super().resume_writing()

    def _give_up(self) -> None:
        if not vars(self)["cycle"]:  # uvicorn's types do not say that there is none at first
            self.transport.close()


class _OwnersDoor:
    """The application as processes on this machine reach it: it hears whose they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client is not None:
            scope[PEER] = client[1]
        await self._app(scope, receive, send)


def _peer_of(transport: asyncio.Transport) -> int:
    """The user of the process at the other end of a unix socket, -1 if the kernel does not say."""
    peer = transport.get_extra_info("socket")
    try:
        found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return -1
    return int(struct.unpack("3i", found)[1])
