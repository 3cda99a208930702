"""Events that others append to a task: who may, how much, where they show, and that nothing follows from them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from task_queue.domain.throttle import EventTokens
from tests.api.bench import ApiBench, Reply
from tests.api.test_events import stream
from tests.api.test_hand_in import Site, site
from tests.api.test_tasks import submitted

__all__ = ["site"]


@pytest.fixture
def task(bench: ApiBench) -> str:
    return str(submitted(bench).json["id"])


def append(bench: ApiBench, task: str, **body: Any) -> Reply:
    return bench.post(f"/v1/tasks/{task}/events", body)


def test_what_is_appended_is_shown_everywhere(bench: ApiBench, task: str) -> None:
    """As a page, as a stream, and on the command line, where controls do nothing."""
    token = bench.token("reader", "read")
    events = stream(bench, token, f"/v1/tasks/{task}/events?after=end")
    replies = [
        append(bench, task, type="progress", percent=40, step="tests"),
        append(bench, task, type="log", level="warning", message="it is \x1b[31mslow"),
        append(bench, task, type="note", message="Ada\nlooks"),
    ]
    seen = [json.loads(next(events)["data"]) for _ in range(3)]
    page = bench.get(f"/v1/tasks/{task}/events").json["events"][-3:]
    shown = bench.rig.cli("events", "--task", task, check=True).stdout

    assert [reply.status for reply in replies] == [201, 201, 201]
    assert [(each["type"], each["data"]) for each in page] == [
        ("progress", {"percent": 40.0, "step": "tests", "by": "owner"}),
        ("log", {"level": "warning", "message": "it is \x1b[31mslow", "by": "owner"}),
        ("note", {"message": "Ada\nlooks", "by": "owner"}),
    ]
    assert [each["data"] for each in seen] == [each["data"] for each in page]
    assert "it is" in shown
    assert "\x1b" not in shown
    assert "Ada\nlooks" not in shown


@pytest.mark.parametrize(
    "body",
    [
        {"type": "settled", "state": "completed"},
        {"type": "progress", "percent": 101},
        {"type": "progress", "percent": "40"},
        {"type": "progress", "percent": 4, "outcome": "succeeded"},
        {"type": "log", "message": ""},
        {"type": "log", "message": "x", "level": "fatal"},
        {"type": "log", "message": "x" * 4001},
        {"type": "note"},
        {"message": "x"},
        [],
    ],
    ids=str,
)
def test_other_events_are_refused(bench: ApiBench, task: str, body: Any) -> None:
    before = len(bench.get(f"/v1/tasks/{task}/events").json["events"])

    assert bench.post(f"/v1/tasks/{task}/events", body).code == "invalid_request"
    assert len(bench.get(f"/v1/tasks/{task}/events").json["events"]) == before


def test_who_may_append(site: Site) -> None:
    bench = site.bench
    claim = site.claimed()
    named = f"{claim['id']};epoch={claim['epoch']}"
    path, body = "/v1/tasks/task-a/events", {"type": "note", "message": "x"}
    mine, other = bench.token("mine", "submit"), bench.token("other", "work")
    by_claim = bench.post(path, body, token=site.token, Task_Queue_Claim=named)

    assert by_claim.status == 201
    assert bench.post(path, body, token=bench.token("operator", "operate")).status == 201
    assert bench.post(path, body, token=mine).code == "role_missing"
    assert bench.post(path, body, token=site.token).code == "role_missing"
    assert bench.post(path, body, token=other, Task_Queue_Claim=named).code == "not_owner"
    assert (
        bench.post(path, body, token=site.token, Task_Queue_Claim=f"{claim['id']};epoch=9").code == "fenced"
    )
    assert bench.post("/v1/tasks/task-b/events", body, token=site.token, Task_Queue_Claim=named).status == 404
    last = [each for each in bench.get(path).json["events"] if each["type"] == "note"]
    assert [(each["attempt"], each["data"]["by"]) for each in last] == [(1, "builder"), (None, "operator")]


def test_progress_never_falls_and_ends_nothing(site: Site) -> None:
    """Not by a smaller figure, nor by a kill of the API, nor at 100: only its worker says that a task ended."""
    claim = site.claimed()
    named = f"{claim['id']};epoch={claim['epoch']}"

    def said(percent: float) -> Any:
        body = {"type": "progress", "percent": percent}
        return site.bench.post("/v1/tasks/task-a/events", body, token=site.token, Task_Queue_Claim=named).json

    assert [said(40)["percent"], said(30)["percent"]] == [40, 40]
    site.bench.kill()
    site.bench.start()
    beat = {"epoch": claim["epoch"], "progress": {"percent": 20, "step": "build"}}
    site.bench.post(f"/v1/claims/{claim['id']}/heartbeat", beat, token=site.token)
    task = site.bench.get("/v1/tasks/task-a").json
    assert (task["progress_percent"], task["current_step"]) == (40, "build")
    assert said(100)["percent"] == 100
    assert site.bench.get("/v1/tasks/task-a").json["status"] == "running"
    site.complete(claim, None)
    assert site.result()["outcome"] == "succeeded"


def test_a_flood_is_held_back(bench: ApiBench, task: str) -> None:
    """Of one task: others, and everything else, go on."""
    other = submitted(bench, title="Other").json["id"]
    replies = [append(bench, task, type="note", message="x") for _ in range(70)]
    refused = [reply for reply in replies if reply.status == 429]

    assert {reply.status for reply in replies} == {201, 429}
    assert len(refused) >= 5
    assert refused[-1].code == "too_many_events"
    assert 1 <= int(refused[-1].headers["retry-after"]) <= 2
    assert append(bench, other, type="note", message="x").status == 201
    assert bench.get("/v1/health").status == 200


def test_a_task_gets_its_tokens_back() -> None:
    tokens = EventTokens()
    waits = [tokens.wait_for("task-a", 100.0) for _ in range(61)]

    assert waits == [0.0] * 60 + [2.0]
    assert tokens.wait_for("task-a", 101.0) == 1.0
    assert tokens.wait_for("task-a", 102.0) == 0.0
    assert tokens.wait_for("task-b", 102.0) == 0.0
