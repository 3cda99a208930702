"""Events over HTTP: pages after a cursor, and streams that go on."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing

from tests.api.bench import ApiBench
from tests.api.test_tasks import submitted


def stream(bench: ApiBench, token: str, path: str = "/v1/events", **headers: str) -> Iterator[dict[str, str]]:
    """Each event of the stream: its fields; nothing more once the server has ended it."""
    connection = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=30)
    sent = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    connection.request("GET", path, headers=sent | {k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    assert answer.readline() == b"retry: 2000\n"
    return _events_in(answer, connection)


def _events_in(
    answer: http.client.HTTPResponse, connection: http.client.HTTPConnection
) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    with closing(connection), answer:
        while line := answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if line == "\n":
                if "data" in fields:
                    yield fields
                fields = {}
            elif name:
                fields[name] = value


def test_a_page_follows_a_cursor(bench: ApiBench) -> None:
    task = submitted(bench).json["id"]
    first = bench.get("/v1/events?limit=1").json
    bench.post("/v1/sources/a/pause")
    rest = bench.get(f"/v1/events?after={first['cursor']}").json

    assert [event["task_id"] for event in first["events"]] == [task]
    assert [event["data"]["command"] for event in rest["events"]] == ["sources pause"]
    assert not rest["more"]
    assert bench.get(f"/v1/events?after={rest['cursor']}").json["events"] == []
    assert len(bench.get(f"/v1/tasks/{task}/events").json["events"]) == 1
    assert bench.get("/v1/events?after=nonsense").json["events"][0]["type"] == "cursor_reset"
    assert bench.get("/v1/events?type=nonsense").code == "invalid_request"


def test_a_stream_goes_on_and_is_taken_up_again(bench: ApiBench) -> None:
    token = bench.token("reader", "read")
    events = stream(bench, token)
    made = next(events)
    task = submitted(bench).json["id"]
    added = next(events)
    again = next(stream(bench, token, Last_Event_ID=made["id"]))

    assert made["event"] == "person_acted"
    assert json.loads(added["data"])["task_id"] == task
    assert again["id"] == added["id"]


def test_a_stream_ends_with_its_token(bench: ApiBench) -> None:
    token = bench.token("reader", "read")
    events = stream(bench, token)
    assert next(events)["event"] == "person_acted"
    submitted(bench)
    assert next(events)["event"] == "person_acted"
    bench.rig.cli("tokens", "revoke", "reader", check=True)

    assert [event["event"] for event in events][-1] == "credential_ended"


def test_a_stream_shows_what_its_policy_allows(bench: ApiBench) -> None:
    token = bench.token("other", "read", types="review")
    submitted(bench, title="Hidden")
    seen = submitted(bench, title="Shown", type="review").json["id"]
    events = stream(bench, token)

    assert json.loads(next(events)["data"])["task_id"] == seen
    assert all(event["task_id"] == seen for event in bench.get("/v1/events", token=token).json["events"])
