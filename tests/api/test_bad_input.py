"""Requests that are wrong in every way: each is refused with a problem, writes nothing, and harms no other request."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from task_queue.domain.document.settings import KEYS
from tests.api.bench import ApiBench
from tests.api.test_tasks import submitted
from tests.waiting import eventually

_DEEP: Any = json.loads("[" * 300 + "]" * 300)
_WRONG: dict[str, Any] = {
    "a number": 5,
    "a boolean": True,
    "an object": {"a": {"b": [1]}},
    "a list": [["x"], {"y": None}],
    "nested": _DEEP,
    "huge": "x" * 1_500_000,
    "a control character": "\x00\x1b[2J",
    "a surrogate": "\ud800",
    "a large number": 10**30,
    "a fraction": 1e308,
}
_FIELDS = ("source", "document", "title", "description", "instructions", "labels", "none_such")


@pytest.fixture(scope="module")
def bench() -> Iterator[ApiBench]:
    """One for all of them: what one leaves harms no other."""
    with TemporaryDirectory(prefix="tq-", ignore_cleanup_errors=True) as folder:
        made = ApiBench(Path(folder) / "0", limits={"max_pending": 1_000_000})
        made.start()
        yield made
        made.kill()
        made.rig.close()


def refused(bench: ApiBench, content: dict[str, Any]) -> None:
    reply = bench.post("/v1/tasks", content)
    assert reply.status in {400, 413, 422}, (content.keys(), reply.data[:200])
    assert reply.code in {"invalid_json", "invalid_request", "invalid_task", "too_large"}


@pytest.mark.parametrize("wrong", _WRONG, ids=str)
def test_no_field_of_a_submission_takes_anything(bench: ApiBench, wrong: str) -> None:
    """Each of them, those of the front matter included; those that are texts take a text."""
    for field in _FIELDS:
        if (field, wrong) in {("labels", "an object"), ("title", "a fraction")}:
            continue
        refused(bench, {"title": "x", "instructions": "echo", "executor": "sh", field: _WRONG[wrong]})
    for key in KEYS:
        content = {"title": "x", "instructions": "echo", "executor": "sh", key.name: _WRONG[wrong]}
        assert bench.post("/v1/tasks", content).status in {202, 400, 422}, key.name

    listed = bench.get("/v1/tasks")
    assert listed.status == 200
    assert all(task["title"] in {"x", "5", "1e+308"} for task in listed.json["tasks"])
    assert "Traceback" not in bench.errors()


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("PATCH /v1/tasks/{id}", {"priority": 5, "not_before": None, "source": "a", "document": "x"}),
        ("POST /v1/tasks/{id}/retry", {"fresh": True}),
        ("POST /v1/tokens", {"name": "x", "roles": ["read"], "sources": ["*"], "own": True, "expires": "1d"}),
        ("POST /v1/tasks/bulk", {"filter": {"text": "x"}, "action": "cancel", "dry_run": True}),
    ],
    ids=str,
)
def test_no_field_of_another_body_takes_anything(bench: ApiBench, path: str, good: dict[str, Any]) -> None:
    """And no field besides."""
    task = submitted(bench).json["id"]
    method, _, place = path.partition(" ")
    before = bench.rig.pending().joinpath(f"{task}.md").read_bytes()
    for field in (*good, "none_such"):
        for name, value in _WRONG.items():
            if isinstance(value, type(good.get(field))) and not isinstance(value, str | list):
                continue
            reply = bench.ask(method, place.format(id=task), good | {field: value}, If_Match='"0"')
            assert reply.status in {400, 404, 409, 412, 422}, (field, name, reply.data[:200])

    assert bench.rig.pending().joinpath(f"{task}.md").read_bytes() == before
    assert bench.get("/v1/tokens").json["tokens"] == []
    assert "Traceback" not in bench.errors()


def test_missing_fields_are_named(bench: ApiBench) -> None:
    for path, field in (
        ("/v1/tokens", "body.name"),
        ("/v1/tasks/bulk", "body.filter"),
    ):
        faults = bench.post(path, {}).json["details"]["errors"]
        assert faults[0]["field"] == field
    assert bench.post("/v1/tasks", {}).json["details"]["errors"][0]["field"] == "title"


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=501", "limit=x", "limit=1e3", "limit=", "sort=;", "status=", "cursor=%00"),
        *("attention=perhaps", "created_after=2026-02-30T00:00:00Z", "created_before=yesterday"),
        *("created_after=2026-02-01T00:00:00", "none=1", "text=" + "x" * 301, "limit=1&limit=2&none=3"),
    ],
)
def test_parameters_that_are_wrong(bench: ApiBench, query: str) -> None:
    reply = bench.get(f"/v1/tasks?{query}")

    assert (reply.status, reply.code) in {(422, "invalid_request"), (400, "bad_cursor")}


def test_broken_text_in_paths_queries_and_headers(bench: ApiBench) -> None:
    """Read as something else, found nowhere, and never a server error."""
    for path in (
        "/v1/tasks?text=%ff%fe%00",
        "/v1/tasks/%ff%fe",
        "/v1/%c0%ae%c0%ae/tasks",
        "/v1/events?after=%ff",
    ):
        assert bench.get(path).status in {200, 404}
    key = bench.post("/v1/tasks", {"title": "x", "instructions": "y"}, Idempotency_Key="\xff" * 20)
    assert key.status in {202, 400}
    for raw in (
        b"GET /v1/tasks?text=\xff HTTP/1.1\r\nHost: 127.0.0.1\r\nX: \xff\x00\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    ):
        assert _answer_to(bench, raw)[9:12] in {b"400", b"421", b"431", b""}
    assert bench.get("/v1/health").status == 200
    assert "Traceback" not in bench.errors()


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/x HTTP/1.1\r\n",
        b"Content-Length: 2\r\nContent-Length: 30\r\n\r\n{}",
        b"Content-Length: -1\r\n\r\n{}",
        b"Content-Length: 0x2\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
    ids=lambda raw: str(raw)[:60],
)
def test_a_length_that_cannot_be_is_not_believed(bench: ApiBench, raw: bytes) -> None:
    """What two programs could read as two requests is read as none."""
    head = b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    before = sorted(bench.rig.pending().iterdir())
    answer = _answer_to(bench, head + raw)

    assert answer[9:12] in {b"400", b"401", b"413", b"501"}, answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert sorted(bench.rig.pending().iterdir()) == before


def test_a_body_of_100_mb_costs_no_memory(bench: ApiBench) -> None:
    """Sent in full, in chunks of an unknown number: it is cut off, and what was sent is not kept."""
    assert bench.process is not None
    before = memory_kb(bench.process.pid)
    sent, chunk = 0, b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", bench.port), timeout=10) as client:
        client.sendall(
            b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        answer = b""
        with contextlib.suppress(OSError):
            while sent < 100 * 2**20:
                client.sendall(chunk)
                sent += len(chunk)
        with contextlib.suppress(OSError):
            answer = client.recv(100)

    assert answer.startswith((b"HTTP/1.1 413", b""))
    assert sent < 60 * 2**20
    assert memory_kb(bench.process.pid) - before < 60_000
    assert bench.get("/v1/health").status == 200


def test_what_others_dropped_is_listed_all_the_same(bench: ApiBench) -> None:
    """Documents by hand are not checked by the API: no content of one makes a list fail."""
    for number, front in enumerate(
        [
            'labels: \'{"a": "\\ud800"}\'',
            "labels: '{\"a\": 1e999}'",
            "labels: '" + "[" * 900 + "]" * 900 + "'",
            "not_before: 0001-01-01T00:00:00+14:00",
            "submitted_by: \u202eevil",
            "priority: 99999999999999999999999",
            "title: [",
        ]
    ):
        bench.rig.drop(f"task-{number}", f"---\n{front}\nexecutor: sh\n---\necho\n")
    bench.rig.drop("task-bytes", "x")
    (bench.rig.pending() / "task-raw.md").write_bytes(b"\xff\xfe\x00")
    submitted(bench)

    listed = bench.get("/v1/tasks")
    assert listed.status == 200
    assert len(listed.json["tasks"]) >= 9
    for task in listed.json["tasks"]:
        assert bench.get(task["links"]["self"]).status == 200
        assert bench.get(task["links"]["document"]).status == 200


def memory_kb(pid: int) -> int:
    """What the process has in memory."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123 - not a regular file
        lines = dict(line.split(":", 1) for line in status.read().splitlines())
    return int(lines["VmRSS"].split()[0])


def _answer_to(bench: ApiBench, raw: bytes) -> bytes:
    """All that comes until the connection is closed, or nothing more comes for a while."""
    found = b""
    with (
        socket.create_connection(("127.0.0.1", bench.port), timeout=1.0) as client,
        contextlib.suppress(OSError),
    ):
        client.sendall(raw)
        while data := client.recv(65536):
            found += data
    return found


def test_a_hundred_wrong_requests_at_once(a_bench: Callable[..., ApiBench]) -> None:
    """Their connections stay open; a right request is answered among them."""
    bench = a_bench()
    bench.start()
    clients = [socket.create_connection(("127.0.0.1", bench.port), timeout=10) for _ in range(100)]
    for number, client in enumerate(clients):
        client.sendall(b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n"[: 10 + number])

    assert bench.get("/v1/health").status == 200
    for client in clients:
        client.close()
    assert eventually(lambda: bench.get("/v1/health").status == 200)


@pytest.mark.long
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (
            (
                b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                b"Content-Length: 500\r\n\r\n{"
            ),
            b"HTTP/1.1 408",
        ),
        (b"POST /v1/tasks HT", b""),
    ],
    ids=["body", "head"],
)
def test_what_does_not_come_is_not_waited_for(bench: ApiBench, sent: bytes, answer: bytes) -> None:
    """Others are answered meanwhile. A body has 30 s, a head 15 s."""
    with socket.create_connection(("127.0.0.1", bench.port), timeout=60) as client:
        client.sendall(sent)
        meanwhile = bench.get("/v1/health").status
        found = b""
        while data := client.recv(65536):
            found += data

    assert meanwhile == 200
    assert found[: len(answer)] == answer
    assert bool(found) is bool(answer)
