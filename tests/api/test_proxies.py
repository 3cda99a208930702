"""The configurations for nginx and Caddy that the guide prints, with the real programs: TLS in front of everything."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.api.bench import ApiBench
from tests.api.test_credential_attacks import certificate_in
from tests.api.test_tasks import submitted
from tests.mcp.test_http import ACCEPT, INITIALIZE
from tests.waiting import eventually

_GUIDE = Path(__file__).parents[2] / "docs/guide/server.md"
_NAME = "queue.example.org"
_PATH = "/usr/sbin:/usr/bin:/bin"
_AROUND_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {server}
}}
"""
_BEFORE_CADDY = """{
	admin off
	auto_https disable_redirects
	skip_install_trust
}
"""


@dataclass(frozen=True)
class Proxy:
    """``trusted``: the file with the certificate by which it is known."""

    port: int
    trusted: Path

    def connection(self) -> http.client.HTTPSConnection:
        return _Named(self.port, ssl.create_default_context(cafile=str(self.trusted)))


class _Named(http.client.HTTPSConnection):
    """To the proxy by its public name, wherever it is."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__("127.0.0.1", port, timeout=30)
        self._around = context

    def connect(self) -> None:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self._around.check_hostname = False  # the certificate of nginx is for an address
        self.sock = self._around.wrap_socket(raw, server_hostname=_NAME)


@contextmanager
def nginx(bench: ApiBench, folder: Path, port: int) -> Iterator[Proxy]:
    certificate, key = certificate_in(folder)
    server = (
        printed(r"```text\n(server \{.*?)```")
        .replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        .replace("/etc/ssl/queue.pem", str(certificate))
        .replace("/etc/ssl/queue.key", str(key))
        .replace("127.0.0.1:8765", f"127.0.0.1:{bench.port}")
    )
    config = folder / "nginx.conf"
    config.write_text(_AROUND_NGINX.format(folder=folder, server=server))
    with running(["nginx", "-e", str(folder / "error.log"), "-c", str(config)], folder, port):
        yield Proxy(port, certificate)


@contextmanager
def caddy(bench: ApiBench, folder: Path, port: int) -> Iterator[Proxy]:
    """With a certificate of its own making, which is what it cannot get here."""
    site = (
        printed(rf"```text\n({_NAME} \{{.*?)```")
        .replace(f"{_NAME} {{", f"https://{_NAME}:{port} {{\n\tbind 127.0.0.1\n\ttls internal")
        .replace("127.0.0.1:8765", f"127.0.0.1:{bench.port}")
    )
    config = folder / "Caddyfile"
    config.write_text(_BEFORE_CADDY + site)
    with running(["caddy", "run", "--config", str(config), "--adapter", "caddyfile"], folder, port):
        roots = folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        yield Proxy(
            port, eventually(lambda: roots if roots.exists() else None, what="a certificate") or roots
        )


@contextmanager
def running(words: list[str], folder: Path, port: int) -> Iterator[None]:
    program = shutil.which(words[0], path=_PATH)
    assert program is not None
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
    with (folder / "proxy.log").open("wb") as said:
        process = subprocess.Popen(
            [program, *words[1:]], env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        eventually(lambda: process.poll() is None and _listens(port), what=(folder / "proxy.log").read_text())
        yield
    finally:
        process.kill()  # Caddy waits for open streams
        process.wait(timeout=20)


def printed(pattern: str) -> str:
    found = re.search(pattern, _GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def _needs(program: str, package: str) -> pytest.MarkDecorator:
    is_missing = shutil.which(program, path=_PATH) is None
    return pytest.mark.skipif(is_missing, reason=f"apt-get install {package}")


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(nginx, marks=_needs("nginx", "nginx-light")),
        pytest.param(caddy, marks=_needs("caddy", "caddy")),
    ],
)
def test_everything_comes_through(
    a_bench: Callable[..., ApiBench], tmp_path: Path, begin: Callable[..., Any]
) -> None:
    """Events at once, files in parts, tools for agents; by the public name only."""
    bench = a_bench(api={"behind_proxy": True, "hosts": [_NAME]})
    bench.start()
    reader, writer = bench.token("reader", "read"), bench.token("writer", "submit")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with begin(bench, tmp_path, port) as proxy:
        task = events_come_at_once(bench, proxy, reader)
        a_file_is_handed_in_in_parts(bench, proxy, writer, task)
        ask = {"Content-Type": "application/json", "Accept": ACCEPT}
        assert (
            asked(proxy, "POST", "/mcp", writer, body=json.dumps(INITIALIZE).encode(), headers=ask)[0] == 200
        )
        assert asked(proxy, "GET", "/v1/tasks", "tq_wrong")[0] == 401
        refused = proxy.connection()
        refused.request("GET", "/v1/health", headers={"Host": "evil.example"})
        assert b"version" not in refused.getresponse().read()
        refused.close()


def events_come_at_once(bench: ApiBench, proxy: Proxy, token: str) -> str:
    """The task whose event came while the answer was open."""
    connection = proxy.connection()
    headers = {"Host": _NAME, "Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    connection.request("GET", "/v1/events?after=end", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline() == b"retry: 2000\n"
    task = str(submitted(bench).json["id"])
    while task.encode() not in (line := answer.readline()):
        assert line
    connection.close()
    return task


def a_file_is_handed_in_in_parts(bench: ApiBench, proxy: Proxy, token: str, task: str) -> None:
    whole = bytes(range(256)) * 12_000
    own = bench.post("/v1/tasks", {"title": task, "instructions": "true"}, token=token).json["id"]
    path, half = f"/v1/tasks/{own}/artifacts/a.bin", len(whole) // 2
    for start, end, status in ((0, half, 202), (half, len(whole), 201)):
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(whole)}"}
        assert asked(proxy, "PUT", path, token, body=whole[start:end], headers=headers)[0] == status
    assert asked(proxy, "GET", path, token) == (200, whole)


def asked(
    proxy: Proxy,
    method: str,
    path: str,
    token: str,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    connection = proxy.connection()
    known = {"Host": _NAME, "Authorization": f"Bearer {token}"}
    connection.request(method, path, body, known | (headers or {}))
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
