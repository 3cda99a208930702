"""A network between a client and a server on this machine that can be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class CutNetwork:
    """Listens on a free port of the loopback and passes on what comes to *server_port()* and back."""

    def __init__(self, server_port: Callable[[], int]) -> None:
        self._server_port = server_port
        self._open = threading.Event()
        self._open.set()
        self._answers_lost = 0
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.questions = 0
        """Connections that were passed on."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection ends, and none can be made."""
        self._open.clear()
        self._end_all()

    def mend(self) -> None:
        self._open.set()

    def fall_silent(self) -> None:
        """Nothing passes any more through the connections that there are, and neither end learns of it."""
        with self._lock:
            self._silent |= self._sockets

    def lose_answers(self, number: int = 1) -> None:
        """To the next questions: the server gets each of them, and the connection ends before its answer."""
        self._answers_lost = number

    def close(self) -> None:
        self._open.clear()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end_all()
        for each in self._silent:
            each.close()

    def _end_all(self) -> None:
        with self._lock:
            ended, self._sockets = self._sockets, set()
        for each in ended:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._open.is_set():
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port()))
            except OSError:
                client.close()
                continue
            self.questions += 1
            with self._lock:
                self._sockets |= {client, server}
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, answers), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers and self._answers_lost:
                    self._answers_lost -= 1
                    break
                if sink not in self._silent:
                    sink.sendall(data)
        if sink in self._silent:
            return
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets -= {source, sink}
        source.close()
