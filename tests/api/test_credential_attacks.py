"""Who guesses, replays, confuses or outlives a credential; who comes by another name, over TLS, or behind a proxy."""

from __future__ import annotations

import http.client
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from task_queue.app.oidc import SparingClient
from task_queue.domain.policy import Caller
from task_queue.domain.throttle import Failures
from tests.api.bench import ApiBench
from tests.api.test_events import stream
from tests.api.test_oidc import Provider
from tests.api.test_tasks import submitted
from tests.waiting import eventually

_EVERYTHING = {name: ["*"] for name in ("sources", "repositories", "types", "capabilities", "executors")}


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer", "Bearer ", "bearer", "Basic b3duZXI6", "Token tq_x", "Bearer tq_x tq_y", "tq_x", "null"),
        *("Bearer " + "x" * 20_000, "Bearer ../../tokens.json", "Bearer tq__", "Bearer a.b.c", "Bearer ..."),
    ],
    ids=lambda header: header[:20],
)
def test_no_other_header_opens_anything(bench: ApiBench, header: str) -> None:
    assert bench.get("/v1/tasks", token="", Authorization=header).status == 401


def test_a_credential_in_another_place_is_none(bench: ApiBench) -> None:
    """Not in the URL, not in a cookie, not in the body; and nothing of one is in an answer or in the log."""
    token = bench.token("boss", "admin")
    for place in (f"/v1/tasks?access_token={token}", f"/v1/tasks?authorization=Bearer%20{token}"):
        assert bench.get(place, token="").status == 401
    assert bench.get("/v1/tasks", token="", Cookie=f"token={token}").status == 401
    assert bench.post("/v1/tasks", {"token": token}, token="").status == 401
    wrong = bench.get("/v1/tasks", token=f"{token}x")

    assert token[12:] not in wrong.data.decode()
    assert token[12:] not in bench.errors()


def test_a_peer_on_the_socket_is_asked_for_by_the_kernel(bench: ApiBench) -> None:
    """No header makes who comes over TCP the owner."""
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Remote-User", "task_queue.peer_uid"):
        assert bench.get("/v1/tasks", token="", **{name: "0"}).status == 401


def test_failures_are_slowed_by_address() -> None:
    """The next one of an address is later, up to a bound; other addresses are not held back, and are forgotten."""
    failures = Failures()
    delays = [failures.delay_after("192.0.2.1", float(second)) for second in range(20)]

    assert delays == sorted(delays)
    assert delays[0] < 0.5 < delays[-1] <= 30
    assert failures.delay_after("192.0.2.2", 20.0) == delays[0]
    assert failures.delay_after("192.0.2.1", 1e9) == delays[0]
    for number in range(100_000):
        failures.delay_after(f"2001:db8::{number:x}", 2e9)
    assert len(failures._seen) < 100_000


def test_a_clock_that_goes_back_opens_nothing() -> None:
    """The monotonic clock counts failures; one of another boot is no reason to forget them or to wait for ever."""
    failures = Failures()
    for _ in range(10):
        failures.delay_after("192.0.2.1", 1000.0)

    assert 0 < failures.delay_after("192.0.2.1", 5.0) <= 30


def test_a_stream_ends_when_its_jwt_does(a_bench: Callable[..., ApiBench], tmp_path: Path) -> None:
    provider = Provider(tmp_path / "keys.json")
    bench = a_bench(api={"oidc": oidc(jwks_file=str(tmp_path / "keys.json"))})
    bench.start()
    submitted(bench)
    events = stream(bench, provider.token(exp=int(time.time()) + 4))

    assert [event["event"] for event in events] == ["person_acted", "credential_ended"]


def test_a_caller_is_good_until_its_end(a_bench: Callable[..., ApiBench]) -> None:
    from task_queue.app.installation import Installation
    from task_queue.app.tokens import is_still_good
    from task_queue.domain.policy import EVERYTHING_ALLOWED
    from tests.fakes import FakeClock

    clock = FakeClock()
    installation = Installation(str(a_bench().rig.config), clock=clock)
    caller = Caller("oidc:ann", EVERYTHING_ALLOWED, good_until=clock.now() + timedelta(seconds=60))

    assert is_still_good(installation, caller)
    clock.advance(61)
    assert not is_still_good(installation, caller)


class KeyServer:
    """Serves the provider's keys; ``hangs`` until it is let go."""

    def __init__(self, keys: Path) -> None:
        self.asked = 0
        self.hangs = threading.Event()
        self.hangs.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                outer.hangs.wait(20)
                data = keys.read_bytes()
                self.send_response(200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def oidc(**keys: str) -> dict[str, Any]:
    return {
        "issuer": "https://id.example.org",
        "audience": "task-queue",
        "algorithms": ["ES256"],
        "leeway_s": 0,
        "policies": {"dev": {"roles": ["submit"], **_EVERYTHING}},
        **keys,
    }


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[tuple[Provider, KeyServer]]:
    provider = Provider(tmp_path / "keys.json")
    server = KeyServer(tmp_path / "keys.json")
    yield provider, server
    server.hangs.set()
    server.server.shutdown()
    server.server.server_close()


def test_keys_come_from_the_provider(
    a_bench: Callable[..., ApiBench], keys: tuple[Provider, KeyServer]
) -> None:
    """Made-up ids of keys do not make it ask again and again, and a provider that hangs holds up nothing else."""
    provider, server = keys
    bench = a_bench(api={"oidc": oidc(jwks_url=server.url)})
    bench.start()
    assert bench.get("/v1/tasks", token=provider.token()).status == 200
    good_id = provider.key_id
    for number in range(4):
        provider.key_id = f"made-up-{number}"
        assert bench.get("/v1/tasks", token=provider.token()).status == 401
    provider.key_id = good_id
    assert bench.get("/v1/tasks", token=provider.token()).status == 200
    assert server.asked <= 5


def test_a_provider_that_hangs_holds_up_nobody_else(
    a_bench: Callable[..., ApiBench], keys: tuple[Provider, KeyServer]
) -> None:
    provider, server = keys
    server.hangs.clear()
    bench = a_bench(api={"oidc": oidc(jwks_url=server.url)})
    bench.start()
    owner = bench.token("boss", "admin")
    replies: list[int] = []
    threads = [
        threading.Thread(target=lambda: replies.append(bench.get("/v1/tasks", token=provider.token()).status))
        for _ in range(45)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: server.asked)
    begun = time.monotonic()
    assert bench.get("/v1/tasks", token=owner).status == 200
    waited = time.monotonic() - begun
    assert not replies
    server.hangs.set()
    for thread in threads:
        thread.join(60)

    assert waited < 5
    assert set(replies) <= {200, 401, 503}


def test_fetches_are_few_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each of them fails."""
    import jwt

    client = SparingClient("http://127.0.0.1:1/keys")
    for _ in range(5):
        with pytest.raises(jwt.PyJWKClientConnectionError):
            client.fetch_data()
    with pytest.raises(jwt.InvalidKeyError, match="too often"):
        client.fetch_data()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    with pytest.raises(jwt.PyJWKClientConnectionError):
        client.fetch_data()


def test_a_provider_that_cannot_be_reached_is_not_the_callers_fault(a_bench: Callable[..., ApiBench]) -> None:
    bench = a_bench(api={"oidc": oidc(jwks_url="http://127.0.0.1:1/keys")})
    bench.start()
    provider = Provider(bench.rig.home / "keys.json")
    reply = bench.get("/v1/tasks", token=provider.token())

    assert (reply.status, reply.code) == (503, "keys_unavailable")
    assert reply.headers["retry-after"] == "30"


def certificate_in(folder: Path) -> tuple[Path, Path]:
    """A self-made certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "task-queue")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


def test_it_is_served_over_tls(a_bench: Callable[..., ApiBench], tmp_path: Path) -> None:
    """With a certificate, it may listen everywhere; what is not TLS is not answered."""
    certificate, key = certificate_in(tmp_path)
    tls = {"certificate": str(certificate), "key": str(key)}
    bench = a_bench(api={"listen": ["unix", "0.0.0.0:0"], "tls": tls, "hosts": ["127.0.0.1"]})
    bench.start()
    token = bench.token("reader", "read")
    context = ssl.create_default_context(cafile=str(certificate))
    connection = http.client.HTTPSConnection("127.0.0.1", bench.port, context=context, timeout=30)
    connection.request("GET", "/v1/tasks", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()

    assert (answer.status, json.loads(answer.read())["tasks"]) == (200, [])
    connection.close()
    plain = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=30)
    plain.request("GET", "/v1/health")
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.getresponse()
    plain.close()
    assert bench.get("/v1/health").status == 200
    assert "Traceback" not in bench.errors()


def test_behind_a_proxy_each_address_fails_for_itself(a_bench: Callable[..., ApiBench]) -> None:
    """The address is the one that the proxy wrote, the last one: who asks cannot choose another."""
    bench = a_bench(api={"behind_proxy": True})
    bench.start()

    def takes(address: str) -> float:
        begun = time.monotonic()
        assert bench.get("/v1/tasks", token="tq_wrong", X_Forwarded_For=address).status == 401
        return time.monotonic() - begun

    for number in range(5):
        takes(f"198.51.100.{number}, 192.0.2.1")
    held_back = takes("192.0.2.99, 192.0.2.1")

    assert held_back > 1
    assert takes("192.0.2.1, 203.0.113.5") < held_back


def test_without_a_proxy_nothing_says_who_asks(bench: ApiBench) -> None:
    """The same header, made up by who asks, lets nobody guess on."""
    for number in range(5):
        bench.get("/v1/tasks", token="tq_wrong", X_Forwarded_For=f"192.0.2.{number}")
    begun = time.monotonic()
    bench.get("/v1/tasks", token="tq_wrong", X_Forwarded_For="203.0.113.9")

    assert time.monotonic() - begun > 1


def test_a_page_of_another_name_reads_nothing(bench: ApiBench) -> None:
    """DNS rebinding: the name of the other site leads here. No credential helps it, and nothing allows it to read."""
    token = bench.token("boss", "admin")
    for host in ("evil.example", "evil.example:80", "127.0.0.1@evil.example", "localhost.evil.example"):
        for path in ("/v1/tasks", "/docs", "/v1/openapi.json", "/v1/events"):
            reply = bench.get(path, token=token, Host=host)
            assert (reply.status, reply.code) == (421, "host_not_allowed")
            assert not [name for name in reply.headers if name.startswith("access-control")]
    asked = bench.ask("OPTIONS", "/v1/tasks", token=token, Origin="https://evil.example")
    assert asked.status == 405
    assert not [name for name in asked.headers if name.startswith("access-control")]
