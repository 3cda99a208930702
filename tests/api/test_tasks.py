"""Tasks over HTTP: submitted, listed, changed, cancelled, retried; and what each refusal says."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.bench import ApiBench, Reply
from tests.waiting import eventually

SLEEP = {"executor": "sh", "workflow": "single"}


def submitted(bench: ApiBench, *, token: str | None = None, key: str | None = None, **body: Any) -> Reply:
    headers = {} if key is None else {"Idempotency_Key": key}
    content = {"title": "Say hello", "instructions": "echo hello", "executor": "sh"} | body
    return bench.post("/v1/tasks", content, token=token, **headers)


def test_a_task_is_accepted_while_no_daemon_runs(bench: ApiBench) -> None:
    """The document says who submitted it; the answer says where it waits."""
    token = bench.token("ci", "submit")
    reply = submitted(bench, token=token, priority=8, labels={"team": "web"}, description="For the demo.")
    task = reply.json
    text = bench.get(f"/v1/tasks/{task['id']}/document").data.decode()

    assert reply.status == 202
    assert reply.headers["location"] == f"/v1/tasks/{task['id']}"
    assert (task["status"], task["source"], task["queue_position"], task["ahead"]) == ("queued", "a", 1, 0)
    assert (task["submitted_by"], task["labels"], task["priority"]) == ("ci", {"team": "web"}, 8)
    assert task["available_actions"] == ["cancel", "edit", "priority", "move", "rm"]
    assert text.endswith("# Say hello\n\nFor the demo.\n\necho hello\n")
    assert (bench.rig.pending() / f"{task['id']}.md").read_text() == text


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"priority": 11}, None, "priority: must be a whole number from 1 to 10"),
        ({"prioritty": 1}, None, "did you mean 'priority'"),
        ({"verify": {"a": 1}}, "verify", "must be a text, a number or a list"),
        ({"executor": "none-such"}, "executor", "is not configured"),
        ({"source": "b"}, "source", "is not known"),
        ({"instructions": "  "}, "description", "are needed"),
        ({"title": "two\nlines"}, "title", "one line"),
        ({"labels": {"x": "y" * 5000}}, None, "labels: must be a JSON object, at most 4096 bytes"),
        ({"workspace": "/etc"}, "workspace", "outside the directories"),
        ({"workspace": "none-there"}, "workspace", "is not a directory"),
        ({"document": "---\nmodel: [\n---\nx\n"}, None, "line"),
        ({"document": "x" * 1_049_000}, None, "bytes"),
        ({"document": "\x00"}, None, "NUL"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_could_not_run_is_refused(
    bench: ApiBench, body: dict[str, Any], field: str | None, reason: str
) -> None:
    """With the field or the line; nothing is written."""
    reply = submitted(bench, **body)
    first = reply.json["details"]["errors"][0]

    assert (reply.status, reply.code) == (400, "invalid_task")
    assert reason in f"line {first['line']}: {first['reason']}"
    assert first["field"] == field
    assert list(bench.rig.pending().iterdir()) == []


@pytest.mark.parametrize(
    "body", [{"title": 5}, {"labels": []}, {"submitted_by": "boss"}, {"document": {}}], ids=str
)
def test_a_field_of_another_type_is_refused(bench: ApiBench, body: dict[str, Any]) -> None:
    assert submitted(bench, **body).code == "invalid_request"


def test_a_full_queue_says_when_to_try_again(a_bench: Callable[..., ApiBench]) -> None:
    bench = a_bench(limits={"max_pending": 1})
    bench.start()
    submitted(bench)
    full = submitted(bench, key="k")

    assert (full.status, full.code, full.headers["retry-after"]) == (503, "queue_full", "30")


def test_one_key_makes_one_task(bench: ApiBench) -> None:
    """From many at once, and after the task has been removed; another content under the key is refused."""
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: submitted(bench, key="k"), range(8)))
    ids = {reply.json["id"] for reply in replies}
    other = submitted(bench, key="k", priority=3)
    token = bench.token("ci", "submit")
    of_another = submitted(bench, key="k", token=token)

    assert len(ids) == 1
    assert sorted(reply.headers["idempotency-replayed"] for reply in replies) == ["false", *["true"] * 7]
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert of_another.json["id"] not in ids
    bench.rig.cli("tasks", "rm", ids.pop(), "--yes", check=True)
    assert submitted(bench, key="k").code == "task_not_found"
    assert len(list(bench.rig.pending().iterdir())) == 1


def test_a_second_task_with_the_same_dedupe_key_is_a_duplicate(bench: ApiBench) -> None:
    first = submitted(bench, dedupe_key="nightly").json
    second = submitted(bench, dedupe_key="nightly")

    assert (second.status, second.code) == (409, "duplicate")
    assert second.json["details"] == {"id": first["id"], "state": "pending", "source": "a"}


def test_what_waits_can_be_changed(a_bench: Callable[..., ApiBench]) -> None:
    bench = a_bench(sources=("a", "b"))
    bench.start()
    task = submitted(bench, source="a", token=bench.token("ci", "submit")).json
    path = f"/v1/tasks/{task['id']}"
    document = bench.get(f"{path}/document")
    changed = bench.ask("PATCH", path, {"priority": 9, "not_before": "2099-01-01T00:00:00Z", "source": "b"})
    stale = bench.ask("PATCH", path, {"document": "# New\n"}, If_Match=document.headers["etag"])
    etag = bench.get(f"{path}/document").headers["etag"]
    replaced = bench.ask("PATCH", path, {"document": "# New\n\nDo it.\n"}, If_Match=etag)

    assert (changed.json["priority"], changed.json["source"]) == (9, "b")
    assert changed.json["next_attempt_at"].startswith("2099")
    assert (stale.status, stale.code) == (412, "document_changed")
    assert bench.ask("PATCH", path, {"document": "x"}).code == "if_match_needed"
    assert (replaced.json["title"], replaced.json["submitted_by"]) == ("New", "ci")
    assert bench.ask("PATCH", path, {"priority": "9"}).code == "invalid_request"
    assert bench.ask("PATCH", path, {"not_before": "soon"}).code == "invalid_request"


def test_a_life_of_a_task(bench: ApiBench) -> None:
    """Queued, running, stopped; then every operation that needs another state says which state it is in."""
    bench.rig.start()
    running = submitted(bench, instructions="sleep 600", max_attempts=1).json["id"]
    waiting = submitted(bench, title="Another").json["id"]
    path = f"/v1/tasks/{running}"
    eventually(lambda: bench.get(path).json["status"] == "running")
    refused = bench.ask("DELETE", path)
    withdrawn = bench.ask("DELETE", f"/v1/tasks/{waiting}")
    early = bench.post(f"{path}/acknowledge")
    asked = bench.post(f"{path}/cancel")
    eventually(lambda: bench.get(path).json["status"] == "cancelled")
    gone = bench.ask("DELETE", path)

    assert (refused.status, refused.code) == (409, "task_running")
    assert refused.json["details"]["state"] == "running"
    assert (withdrawn.status, withdrawn.json["status"]) == (200, "cancelled")
    assert (early.status, early.json["details"]["state"]) == (409, "running")
    assert asked.status == 202
    assert (gone.status, gone.code, gone.json["details"]["state"]) == (410, "task_ended", "failed")
    assert bench.ask("PATCH", path, {"priority": 1}).json["details"]["state"] == "failed"
    assert bench.post(f"{path}/retry", {"begin_at": "audit"}).status == 409
    assert bench.post(f"{path}/retry", {"begin_at": "lunch"}).status == 422
    assert bench.post(f"{path}/retry", {}).status == 202
    assert bench.ask("DELETE", "/v1/tasks/task-none").code == "task_not_found"


def test_what_ended_can_be_read(bench: ApiBench) -> None:
    bench.rig.start()
    done = submitted(bench).json["id"]
    failed = submitted(bench, title="Fail", instructions="exit 3", max_attempts=1).json["id"]
    for task_id in (done, failed):
        eventually(lambda task_id=task_id: bench.get(f"/v1/tasks/{task_id}").json["completed_at"])  # type: ignore[misc] # bound at once
    task = bench.get(f"/v1/tasks/{done}").json
    other = bench.get(f"/v1/tasks/{failed}").json
    transcript = bench.get(f"/v1/tasks/{done}/transcript")
    rest = bench.get(f"/v1/tasks/{done}/transcript?offset={transcript.headers['next-offset']}")

    assert (task["status"], task["outcome"], task["progress_percent"]) == ("completed", "succeeded", 100)
    assert task["result"]["task_id"] == done
    assert bench.get(f"/v1/tasks/{done}/result").json == task["result"]
    assert bench.get(f"/v1/tasks/{done}/report").data.startswith(b"#")
    assert all(json.loads(line) for line in transcript.data.splitlines())
    assert rest.data == b""
    assert (other["status"], other["dead_letter"]) == ("failed", True)
    assert [need["kind"] for need in other["attention"]] == ["dead_letter"]
    assert bench.post(f"/v1/tasks/{failed}/acknowledge").json["attention"] == []
    assert bench.post(f"/v1/tasks/{done}/land").status == 409
    assert bench.get("/v1/stats").json["all"]["ended"] == 2
    assert bench.get("/v1/tasks?status=dead_letter").json["tasks"][0]["id"] == failed


def test_lists_are_filtered_sorted_and_paged(bench: ApiBench) -> None:
    """Counts are of all that match, whatever the page shows."""
    for number in range(5):
        submitted(bench, title=f"Number {number}", priority=number + 1, labels={"n": number})
    first = bench.get("/v1/tasks?sort=-priority&limit=2").json
    second = bench.get(f"/v1/tasks?sort=-priority&limit=2&cursor={first['cursor']}").json
    third = bench.get(f"/v1/tasks?sort=-priority&limit=2&cursor={second['cursor']}").json
    pages = [task["priority"] for page in (first, second, third) for task in page["tasks"]]

    assert pages == [5, 4, 3, 2, 1]
    assert third["cursor"] is None
    assert first["counts"]["queued"] == 5
    assert [each["title"] for each in bench.get("/v1/tasks?label=n=3").json["tasks"]] == ["Number 3"]
    assert len(bench.get("/v1/tasks?text=NUMBER+4").json["tasks"]) == 1
    for nothing in ("source=b", "status=running", "type=review", "executor=claude", "attention=true"):
        assert bench.get(f"/v1/tasks?{nothing}").json["tasks"] == []
    assert bench.get("/v1/tasks?cursor=xyz").code == "bad_cursor"
    assert bench.get(f"/v1/tasks?sort=id&cursor={first['cursor']}").code == "bad_cursor"
    for wrong in ("limit=0", "limit=x", "status=odd", "sort=odd", "created_after=soon"):
        assert bench.get(f"/v1/tasks?{wrong}").code == "invalid_request"


def test_many_are_changed_at_once(bench: ApiBench) -> None:
    ids = [submitted(bench, title=f"Number {number}").json["id"] for number in range(3)]
    every = {"filter": {"status": ["queued"]}, "action": "priority", "priority": 9}
    dry = bench.post("/v1/tasks/bulk", every | {"dry_run": True}).json
    done = bench.post("/v1/tasks/bulk", every).json
    refused = bench.post("/v1/tasks/bulk", {"filter": {"ids": ids[:1]}, "action": "retry"}).json

    assert {task["id"] for task in dry["tasks"]} == set(ids)
    assert not any(task["done"] for task in dry["tasks"])
    assert all(task["done"] for task in done["tasks"])
    assert bench.get(f"/v1/tasks/{ids[0]}").json["priority"] == 9
    assert [task["problem"]["code"] for task in refused["tasks"]] == ["task_pending"]
    assert bench.post("/v1/tasks/bulk", {"filter": {}, "action": "cancel"}).code == "invalid_request"


def test_a_task_outside_the_policy_is_not_there(a_bench: Callable[..., ApiBench]) -> None:
    """Not in lists, not in counts, not by its id; and what may not be submitted is refused."""
    bench = a_bench(sources=("a", "b"))
    bench.start()
    mine, theirs = bench.token("mine", "submit"), bench.token("theirs", "submit", sources="b")
    own = bench.rig.cli(
        *("tokens", "create", "--name", "own", "--role", "submit", "--sources", "*", "--types", "*"),
        *("--executors", "*", "--repositories", "*", "--own"),
        check=True,
    ).stdout.strip()
    task = submitted(bench, source="a", token=mine).json["id"]
    path = f"/v1/tasks/{task}"

    assert bench.get(path, token=mine).status == 200
    assert bench.get(path, token=theirs).code == bench.get("/v1/tasks/task-none", token=theirs).code
    assert bench.get(path, token=own).status == 404
    assert bench.get("/v1/tasks", token=theirs).json["counts"]["queued"] == 0
    assert bench.get("/v1/tasks", token=own).json["tasks"] == []
    assert bench.ask("DELETE", path, token=theirs).status == 404
    assert submitted(bench, source="a", token=theirs).code == "invalid_task"
    assert submitted(bench, source="b", token=theirs, type="review").status == 202
    limited = bench.token("limited", "submit", types="review")
    assert submitted(bench, source="a", token=limited).code == "outside_policy"
    reader = bench.token("reader", "read")
    assert submitted(bench, source="a", token=reader).code == "role_missing"
    assert bench.post(f"{path}/cancel", token=reader).code == "not_the_submitter"


def test_sources_and_workers(bench: ApiBench) -> None:
    reader = bench.token("reader", "read")

    assert bench.get("/v1/sources", token=reader).json["sources"][0]["state"] == "open"
    assert bench.post("/v1/sources/a/pause", token=reader).code == "role_missing"
    assert bench.post("/v1/sources/a/pause").json["state"] == "paused"
    assert bench.post("/v1/sources/a/drain").json["state"] == "draining"
    assert bench.post("/v1/sources/a/resume").json["state"] == "open"
    assert bench.post("/v1/sources/b/pause").code == "source_not_found"
    assert bench.get("/v1/workers", token=reader).json == {
        "daemon": False,
        "workers": [{"source": "a", "state": "unserved", "why": None, "task_id": None}],
        "remote": [],
    }


@pytest.mark.parametrize(
    "odd", ["..%2f..%2fetc", "task-%00", "task-a%2f..", "%e2%80%ae", "task-" + "a" * 3000]
)
def test_odd_ids_lead_nowhere(bench: ApiBench, odd: str) -> None:
    for path in (f"/v1/tasks/{odd}", f"/v1/tasks/{odd}/document", f"/v1/tasks/{odd}/events"):
        assert bench.get(path).status == 404
