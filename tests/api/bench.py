"""The real API as a process, and requests to it over its unix socket and over TCP."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.rig import Rig
from tests.waiting import eventually
from tests.warm import Process, start_cli


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def code(self) -> str:
        """Of a problem."""
        assert self.headers["content-type"] == "application/problem+json", self.data
        return str(self.json["code"])


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class ApiBench:
    """A person's machine with the API on a unix socket and a free port of the loopback."""

    def __init__(self, home: Path, *, sources: tuple[str, ...] = ("a",), **config: Any) -> None:
        api = {"listen": ["unix", "127.0.0.1:0"], **config.pop("api", {})}
        self.rig = Rig(home, sources=sources, api=api, **config)
        self.process: Process | None = None

    @property
    def state(self) -> dict[str, Any]:
        paths = list((self.rig.home / ".local" / "state" / "task-queue").glob("*/api.json"))
        found: dict[str, Any] = json.loads(paths[0].read_text()) if paths else {}
        return found

    @property
    def socket_path(self) -> str:
        return str(self.state["listen"][0]).removeprefix("unix:")

    @property
    def port(self) -> int:
        return int(self.state["listen"][1].rpartition(":")[2])

    def start(self, *, program: Sequence[str] | None = None) -> None:
        """*program*: one that is the API without being told."""
        with (self.rig.home / "api.err").open("a") as errors:
            process = start_cli(
                ("--config", str(self.rig.config), *(("api",) if program is None else ())),
                env=self.rig.environment,
                cwd=self.rig.home,
                stderr=errors,
                program=program,
            )
        self.process = process

        def serves() -> bool:
            assert process.poll() is None, self.errors()
            return self.state.get("pid") == process.pid and self.get("/v1/health").status in {200, 503}

        eventually(serves, what="the API serves")

    def errors(self) -> str:
        return (self.rig.home / "api.err").read_text()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.wait(timeout=20)

    def token(self, name: str, *roles: str, **lists: str) -> str:
        """A new one that allows everything but what *lists* say."""
        allowed = (
            dict.fromkeys(("sources", "repositories", "types", "capabilities", "executors"), "*") | lists
        )
        options = [part for key, value in allowed.items() for part in (f"--{key}", value)]
        chosen = [part for role in roles for part in ("--role", role)]
        return self.rig.cli("tokens", "create", "--name", name, *chosen, *options, check=True).stdout.strip()

    def get(self, path: str, *, token: str | None = None, **headers: str) -> Reply:
        return self.ask("GET", path, token=token, **headers)

    def post(self, path: str, body: Any = None, *, token: str | None = None, **headers: str) -> Reply:
        return self.ask("POST", path, body, token=token, **headers)

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> Reply:
        """Over TCP with *token*, as the owner over the socket without; *body* is sent as it is if it is bytes."""
        connection: http.client.HTTPConnection = _UnixConnection(self.socket_path)
        if token is not None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return Reply(
                answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()
