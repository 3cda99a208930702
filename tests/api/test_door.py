"""The process: where it listens, whom it lets in, and what it refuses before an operation sees it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.bench import ApiBench
from tests.waiting import eventually


def test_the_socket_is_for_its_owner_only(bench: ApiBench) -> None:
    """Who is at the other end is the owner, without a token; its folder is closed, too."""
    about = Path(bench.socket_path).lstat()
    health = bench.get("/v1/health")

    assert stat.S_ISSOCK(about.st_mode)
    assert stat.S_IMODE(about.st_mode) == 0o600
    assert stat.S_IMODE(Path(bench.socket_path).parent.stat().st_mode) == 0o700
    assert health.json["status"] == "no_daemon"
    assert health.json["details"]["engine"] == "folder"


def test_health_is_open_and_says_little(bench: ApiBench) -> None:
    health = bench.get("/v1/health", token="")

    assert health.status == 200
    assert health.json["details"] is None
    assert bench.get("/v1/tokens", token="").code == "unauthorized"
    assert bench.get("/v1/tokens", token="").headers["www-authenticate"] == "Bearer"


def test_without_a_usable_configuration_it_is_not_ready(bench: ApiBench) -> None:
    bench.rig.config.chmod(0o666)

    assert bench.get("/v1/health").status == 503


@pytest.mark.parametrize(
    ("api", "why"),
    [
        ({"listen": ["0.0.0.0:0"]}, "other machines reach"),
        ({"listen": ["8765"]}, "must be 'unix', or an address and a port"),
        ({"listen": ["example.org:80"]}, "must be 'unix', or an address and a port"),
    ],
    ids=["an open address", "a bare port", "a name"],
)
def test_it_refuses_to_start_and_says_why(
    a_bench: Callable[..., ApiBench], api: dict[str, object], why: str
) -> None:
    done = a_bench(api=api).rig.cli("api")

    assert done.returncode == 1
    assert why in done.stderr


def test_behind_a_proxy_it_listens_everywhere(a_bench: Callable[..., ApiBench]) -> None:
    """Where the proxy says by which name it is reached."""
    bench = a_bench(
        api={"listen": ["unix", "0.0.0.0:0"], "behind_proxy": True, "hosts": ["queue.example.org"]}
    )
    bench.start()

    assert bench.get("/v1/health", token="", Host="queue.example.org").status == 200
    assert bench.get("/v1/health", token="", Host="other.example.org").code == "host_not_allowed"


def test_there_is_one_api_for_a_configuration(bench: ApiBench) -> None:
    """The second leaves the socket of the first alone; one that was killed leaves nothing in the way."""
    second = bench.rig.cli("api")
    still = bench.get("/v1/health").status
    bench.kill()
    bench.start()

    assert second.returncode == 1
    assert "is served already" in second.stderr
    assert still == 200
    assert bench.get("/v1/health").status == 200


def test_a_signal_ends_it(bench: ApiBench) -> None:
    process, path = bench.process, bench.socket_path
    assert process is not None
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=20) == 0
    assert not os.path.lexists(path)


def test_an_idle_api_takes_no_time(bench: ApiBench) -> None:
    """uvicorn by itself wakes ten times a second: 90 ms of a minute."""
    assert bench.process is not None
    path = Path(f"/proc/{bench.process.pid}/status")

    def wakes() -> int:
        lines = dict(line.split(":\t", 1) for line in path.read_text().splitlines())
        return int(lines["voluntary_ctxt_switches"])

    before = wakes()
    with socket.socket() as quiet:
        quiet.settimeout(2)
        quiet.connect(("127.0.0.1", bench.port))
        with pytest.raises(TimeoutError):
            quiet.recv(1)

    assert wakes() - before < 10


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]"])
def test_another_name_is_refused(bench: ApiBench, host: str) -> None:
    """A page of another site can let its name lead to this machine."""
    assert bench.get("/v1/health", token="", Host=host).code == "host_not_allowed"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_a_page_of_another_site_changes_nothing(bench: ApiBench, headers: dict[str, str]) -> None:
    token = bench.token("admin", "admin")

    assert bench.post("/v1/tokens", {}, token=token, **headers).code == "cross_site"


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b'{"name": "\xff"}', "application/json", 400, "invalid_json"),
        (b'{"name": NaN}', "application/json", 400, "invalid_json"),
        (b"[" * 200_000, "application/json", 400, "invalid_json"),
        (b'{"n": ' + b"9" * 5000 + b"}", "application/json", 400, "invalid_json"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "application/json", 422, "invalid_request"),
        (b"[]", "application/json", 422, "invalid_request"),
        (b'{"name": 5, "roles": ["god"], "more": 1}', "application/json", 422, "invalid_request"),
        (b" " * (2 * 2**20 + 1), "application/json", 413, "too_large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bodies_that_are_refused(bench: ApiBench, data: bytes, kind: str, status: int, code: str) -> None:
    reply = bench.post("/v1/tokens", data, Content_Type=kind)

    assert (reply.status, reply.code) == (status, code)
    assert bench.get("/v1/health").status == 200


def test_a_body_that_says_it_is_huge_is_not_waited_for(bench: ApiBench) -> None:
    """100 MB, of which nothing is sent."""
    with socket.create_connection(("127.0.0.1", bench.port), timeout=10) as client:
        client.sendall(
            b"POST /v1/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 104857600\r\n"
            b"Content-Type: application/json\r\n\r\n"
        )

        assert client.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/%ff%00", 404, "not_found"),
        ("PUT", "/v1/health", 405, "method_not_allowed"),
        ("BREW", "/v1/health", 405, "method_not_allowed"),
    ],
)
def test_errors_of_every_kind_are_problems(
    bench: ApiBench, method: str, path: str, status: int, code: str
) -> None:
    reply = bench.ask(method, path)

    assert (reply.status, reply.code) == (status, code)
    assert reply.json.keys() == {"type", "title", "status", "detail", "code", "details"}


def test_a_client_that_vanishes_harms_nothing(bench: ApiBench) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", bench.port)) as client:
            client.sendall(b"POST /v1/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n{")

    assert eventually(lambda: bench.get("/v1/health").status == 200)
    assert "Traceback" not in bench.errors()


def test_the_description_is_openapi(bench: ApiBench) -> None:
    description = bench.get("/v1/openapi.json").json

    assert description["openapi"].startswith("3.1")
    assert "/v1/health" in description["paths"]
    assert "HTTPValidationError" not in json.dumps(description)


def test_every_operation_and_object_is_described(bench: ApiBench) -> None:
    """Each operation says what it does and how it refuses; every reference leads to an object."""
    description = bench.get("/v1/openapi.json").json
    operations = [each for path in description["paths"].values() for each in path.values()]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(description)))

    assert all(each["description"] and "4XX" in each["responses"] for each in operations)
    assert references <= description["components"]["schemas"].keys()


def test_the_page_for_people_fetches_nothing(bench: ApiBench) -> None:
    """No script, nothing from another server, and every operation."""
    page = bench.get("/docs")
    text = page.data.decode()

    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=.(?!#|/v1)", text)
    assert all(path in text for path in bench.get("/v1/openapi.json").json["paths"])
