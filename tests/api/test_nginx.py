"""The configuration for nginx that the guide prints, with a real nginx: TLS in front, and events as they happen."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.bench import ApiBench
from tests.api.test_credential_attacks import certificate_in
from tests.api.test_tasks import submitted
from tests.waiting import eventually

_GUIDE = Path(__file__).parents[2] / "docs/guide/server.md"
_NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin")
_AROUND = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {server}
}}
"""


@pytest.mark.skipif(_NGINX is None, reason="apt-get install nginx-light")
def test_events_come_through_nginx(a_bench: Callable[..., ApiBench], tmp_path: Path) -> None:
    """At once, by the public name; and who asks is the address that nginx saw."""
    bench = a_bench(api={"behind_proxy": True, "hosts": ["queue.example.org"]})
    bench.start()
    certificate, key = certificate_in(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    printed = re.search(r"```text\n(server \{.*?)```", _GUIDE.read_text(), re.DOTALL)
    assert printed is not None
    server = (
        printed[1]
        .replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        .replace("/etc/ssl/queue.pem", str(certificate))
        .replace("/etc/ssl/queue.key", str(key))
        .replace("127.0.0.1:8765", f"127.0.0.1:{bench.port}")
    )
    config = tmp_path / "nginx.conf"
    config.write_text(_AROUND.format(folder=tmp_path, server=server))
    nginx = subprocess.Popen(
        [str(_NGINX), "-e", str(tmp_path / "error.log"), "-c", str(config)],
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: nginx.poll() is None and _listens(port), what="nginx listens")
        token = bench.token("reader", "read")
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        asked = {"Host": "queue.example.org", "Authorization": f"Bearer {token}"}
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
        connection.request("GET", "/v1/events?after=end", headers=asked | {"Accept": "text/event-stream"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.readline() == b"retry: 2000\n"
        task = submitted(bench).json["id"].encode()
        while task not in (line := answer.readline()):
            assert line
        connection.close()
        other = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
        other.request("GET", "/v1/health", headers={"Host": "evil.example"})
        assert other.getresponse().status == 421
        other.close()
    finally:
        nginx.terminate()
        nginx.wait(timeout=20)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
