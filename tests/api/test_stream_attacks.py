"""Many streams, readers that stop reading, clients that vanish, floods of events: none costs others anything."""

from __future__ import annotations

import http.client
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from task_queue.domain.events import PersonActed
from task_queue.store.event_log import EventLog
from tests.api.bench import ApiBench
from tests.api.test_bad_input import memory_kb
from tests.api.test_events import stream
from tests.api.test_tasks import submitted
from tests.sampling import short_and_long
from tests.waiting import eventually

_EVENTS = b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"


@contextmanager
def opened(bench: ApiBench, token: str, number: int, *, path: str = "") -> Iterator[list[socket.socket]]:
    """Streams whose first bytes have come."""
    clients: list[socket.socket] = []
    head = _EVENTS.replace(b"/v1/events", path.encode()) if path else _EVENTS
    try:
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", bench.port), timeout=60)
            clients.append(client)
            client.sendall(head + f"Authorization: Bearer {token}\r\n\r\n".encode())
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
        yield clients
    finally:
        for client in clients:
            client.close()


def flood(bench: ApiBench, number: int, *, size: int = 2000) -> None:
    """As many events as a runaway program would cause."""
    folder = next((bench.rig.home / ".local/state/task-queue").glob("*/events"))
    log = EventLog(folder, warn=lambda _: None)
    for index in range(number):
        log.emit(PersonActed("flood", "a", None, {"index": index, "what": "x" * size}))
    log.close()


@pytest.mark.parametrize("number", short_and_long([60], [200]))
def test_each_of_many_streams_gets_each_event(bench: ApiBench, number: int) -> None:
    """Other requests are answered meanwhile; when they are gone, nothing of them is left."""
    assert bench.process is not None
    token = bench.token("reader", "read")
    files = Path(f"/proc/{bench.process.pid}/fd")
    before = len(list(files.iterdir()))
    with opened(bench, token, number) as clients:
        task = submitted(bench).json["id"].encode()
        for client in clients:
            seen = b""
            while task not in seen:
                data = client.recv(65536)
                assert data
                seen += data
        assert bench.get("/v1/tasks").status == 200

    assert eventually(lambda: len(list(files.iterdir())) <= before + 2, what="the files are closed")
    assert "Traceback" not in bench.errors()


def test_more_streams_than_one_credential_may_have(bench: ApiBench) -> None:
    """It is told so; another one still gets its stream."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    greedy, other = bench.token("greedy", "read"), bench.token("other", "read")
    try:
        with opened(bench, greedy, 256):
            refused = bench.get("/v1/events", token=greedy, Accept="text/event-stream")
            page = bench.get("/v1/events", token=greedy)
            assert (refused.status, refused.code) == (503, "too_many_streams")
            assert refused.headers["retry-after"] == "5"
            assert page.status == 200
            assert next(stream(bench, other))["event"] == "person_acted"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_reader_that_stops_reading_costs_no_memory(bench: ApiBench) -> None:
    """However much happens; another reader gets all of it."""
    assert bench.process is not None
    token, quick = bench.token("slow", "read"), bench.token("quick", "read")
    submitted(bench)
    with opened(bench, token, 5):
        before = memory_kb(bench.process.pid)
        flood(bench, 15_000)
        events = stream(bench, quick, "/v1/events?type=person_acted")
        last = next(event for event in events if '"index":14999' in event["data"])
        after = memory_kb(bench.process.pid)

        assert last["event"] == "person_acted"
        assert after - before < 40_000, (before, after)
        assert bench.get("/v1/health").status == 200


@pytest.mark.long
def test_a_reader_that_takes_nothing_loses_its_connection(bench: ApiBench) -> None:
    assert bench.process is not None
    token = bench.token("slow", "read")
    submitted(bench)
    files = Path(f"/proc/{bench.process.pid}/fd")
    before = len(list(files.iterdir()))
    flood(bench, 15_000)
    with opened(bench, token, 3):
        assert eventually(
            lambda: len(list(files.iterdir())) <= before + 1, timeout=60, what="the connections are closed"
        )


def test_clients_that_vanish_in_the_middle(bench: ApiBench) -> None:
    """With a reset, while something is sent to them, and before they have sent everything."""
    assert bench.process is not None
    token = bench.token("reader", "read")
    submitted(bench)
    flood(bench, 2000)
    files = Path(f"/proc/{bench.process.pid}/fd")
    before = len(list(files.iterdir()))
    reset = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    for _ in range(10):
        with opened(bench, token, 2) as clients:
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    for head in (b"POST /v1/tasks HTTP/1.1\r\nContent-Length: 9\r\n\r\n{", b"GET /v1", b""):
        with socket.create_connection(("127.0.0.1", bench.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.sendall(head)

    assert eventually(lambda: len(list(files.iterdir())) <= before + 1, what="the files are closed")
    assert bench.get("/v1/tasks").status == 200
    assert "Traceback" not in bench.errors()


def test_a_flood_of_events_holds_up_no_request(bench: ApiBench) -> None:
    """A page has at most as many as were asked for, and says that there is more."""
    submitted(bench)
    flood(bench, 20_000, size=100)
    begun = time.monotonic()
    first = bench.get("/v1/events?limit=1000").json
    pages, cursor = 1, first["cursor"]
    while True:
        page = bench.get(f"/v1/events?limit=1000&after={cursor}").json
        pages, cursor = pages + 1, page["cursor"]
        if not page["more"]:
            break

    assert len(first["events"]) == 1000
    assert first["more"]
    assert pages == 21
    assert bench.get("/v1/health").status == 200
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("ends", ["revoked", "expired"])
def test_a_stream_that_is_idle_ends_with_its_credential(bench: ApiBench, ends: str) -> None:
    """Nothing happens on it; it ends all the same."""
    options = ("--expires", "4s") if ends == "expired" else ()
    token = bench.rig.cli(
        *("tokens", "create", "--name", "short", "--role", "read", "--sources", "*", "--repositories", "*"),
        *("--types", "*", "--capabilities", "*", "--executors", "*", *options),
        check=True,
    ).stdout.strip()
    cursor = bench.get("/v1/events").json["cursor"]
    events = stream(bench, token, f"/v1/events?after={cursor}&type=settled")
    if ends == "revoked":
        bench.rig.cli("tokens", "revoke", "short", check=True)

    assert [event["event"] for event in events] == ["credential_ended"]
    assert bench.get("/v1/tasks", token=token).code == "unauthorized"


def test_streams_end_with_the_process(bench: ApiBench) -> None:
    """A signal ends it although readers are there."""
    token = bench.token("reader", "read")
    process = bench.process
    assert process is not None
    connection = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=30)
    connection.request(
        "GET", "/v1/events", headers={"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    )
    answer = connection.getresponse()
    os.kill(process.pid, 15)
    answer.read()

    assert process.wait(timeout=20) == 0
    connection.close()
