"""What single operations answer: a patch as a whole, what may be landed and acknowledged, diffs, live transcripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

from tests.acceptance.audits import a_repository, git
from tests.api.bench import ApiBench
from tests.api.test_events import stream
from tests.api.test_tasks import submitted
from tests.waiting import eventually


def ended(bench: ApiBench, task_id: str) -> dict[str, Any]:
    path = f"/v1/tasks/{task_id}"
    eventually(lambda: bench.get(path).json["completed_at"], what=f"{task_id} ends; {bench.rig.errors()}")
    task: dict[str, Any] = bench.get(path).json
    return task


def test_a_change_is_made_as_a_whole_or_not_at_all(a_bench: Callable[..., ApiBench]) -> None:
    """Where one part is refused, no other part is made; null takes a delay away."""
    bench = a_bench(sources=("a", "b"))
    bench.start()
    task = submitted(bench, source="a", not_before="2099-01-01T00:00:00Z").json
    path = f"/v1/tasks/{task['id']}"
    etag = bench.get(f"{path}/document").headers["etag"]
    unknown = bench.ask("PATCH", path, {"priority": 9, "source": "c"})
    spoiled = bench.ask("PATCH", path, {"priority": 9, "document": "---\nnone: 1\n---\n"}, If_Match=etag)
    stale = bench.ask("PATCH", path, {"priority": 9, "not_before": None}, If_Match='"0"')
    unchanged = bench.get(path).json
    nothing = bench.ask("PATCH", path, {}).json
    done = bench.ask("PATCH", path, {"priority": 9, "not_before": None, "source": "b"}, If_Match=etag).json

    assert (unknown.status, spoiled.code, stale.code) == (409, "invalid_task", "document_changed")
    assert unknown.json["details"]["state"] == "pending"
    assert (unchanged["priority"], unchanged["source"]) == (task["priority"], "a")
    assert nothing["next_attempt_at"].startswith("2099")
    assert (done["priority"], done["source"], done["next_attempt_at"]) == (9, "b", None)
    assert bench.get(f"{path}/document").headers["etag"] != etag


def test_nobody_signs_for_another(bench: ApiBench) -> None:
    """A document that the owner dropped gets no submitter by a change of it."""
    task = bench.rig.drop_command("task-x", "echo", submitted_by="nobody")
    path = f"/v1/tasks/{task}"
    operator = bench.token("operator", "operate")
    etag = bench.get(f"{path}/document").headers["etag"]
    text = "---\nsubmitted_by: boss\nexecutor: sh\n---\n# New\n\necho\n"
    changed = bench.ask("PATCH", path, {"document": text}, token=operator, If_Match=etag)

    assert changed.status == 200
    assert changed.json["submitted_by"] == "nobody"


def test_estimates_come_with_one_task(bench: ApiBench) -> None:
    task = submitted(bench).json

    assert task["estimate"]["is_guess"]
    assert task["estimate"]["median_s"] > 0
    assert bench.get("/v1/tasks").json["tasks"][0]["estimate"] is None


def test_a_branch_is_landed_undone_and_a_result_acknowledged_once(a_bench: Callable[..., ApiBench]) -> None:
    """Both are offered while they do something, on the command line, too; the diff is that of the commits."""
    bench = a_bench(defaults={"workflow": "single", "isolation": "worktree", "landing": "branch"})
    repository = a_repository(bench.rig)
    bench.start()
    bench.rig.start()
    task_id = submitted(bench, instructions="echo line > work.txt").json["id"]
    path = f"/v1/tasks/{task_id}"
    task = ended(bench, task_id)
    listed = bench.rig.json("tasks", "list", "--state", "completed")["tasks"][0]["available_actions"]
    shown = bench.rig.json("tasks", "show", task_id)["available_actions"]
    diff = bench.get(f"{path}/diff")
    landed = bench.post(f"{path}/land")
    again = bench.post(f"{path}/acknowledge").json

    assert task["available_actions"] == ["land", "acknowledge", "rm"] == listed == shown
    assert (
        bench.get("/v1/tasks").json["tasks"][0]["available_actions"]
        == again["available_actions"]
        == ["undo", "rm"]
    )
    assert diff.data.decode().startswith("diff --git a/work.txt b/work.txt\nnew file")
    assert diff.headers["tip-commit"] == task["result"]["commits"][-1]
    assert (landed.status, landed.json["available_actions"]) == (200, ["undo", "rm"])
    assert git(repository, "show", "main:work.txt") == "line"
    undone = [bench.post(f"{path}/undo") for _ in range(2)]
    assert [answer.status for answer in undone] == [200, 200]
    assert undone[0].json["available_actions"] == ["land", "rm"]
    assert git(repository, "log", "--format=%s", "main") == "First"
    shutil.rmtree(repository / ".git")
    gone = bench.get(f"{path}/diff")
    assert (gone.status, gone.code) == (410, "gone")


def test_a_file_that_is_not_there_says_why(bench: ApiBench) -> None:
    path = f"/v1/tasks/{submitted(bench).json['id']}"
    replies = {kind: bench.get(f"{path}/{kind}") for kind in ("diff", "result", "report")}
    attempt = bench.get(f"{path}/transcript?attempt=7")

    assert {reply.status for reply in replies.values()} == {404}
    assert {reply.code for reply in replies.values()} == {"no_such_file"}
    assert "before it has begun" in replies["diff"].json["detail"]
    assert (attempt.status, attempt.code) == (404, "no_such_file")
    assert bench.get(f"{path}/transcript").data == b""


def test_a_transcript_is_followed_to_its_end(bench: ApiBench) -> None:
    """Each line once, also for who comes in the middle; then the stream ends."""
    token = bench.token("reader", "read")
    bench.rig.start()
    task_id = submitted(
        bench, instructions="echo begun > begun; while ! test -e go; do sleep 0.05; done"
    ).json["id"]
    bench.rig.started("begun")
    events = stream(bench, token, f"/v1/tasks/{task_id}/transcript")
    first = next(events)
    (bench.rig.workspace / "go").touch()
    rest = list(events)
    lines = bench.get(f"/v1/tasks/{task_id}/transcript").data.splitlines()
    later = list(stream(bench, token, f"/v1/tasks/{task_id}/transcript", Last_Event_ID=first["id"]))

    assert [json.loads(each["data"]) for each in (first, *rest[:-1])] == [json.loads(line) for line in lines]
    assert rest[-1]["event"] == "end"
    assert [each["data"] for each in later] == [each["data"] for each in rest]


def test_a_query_that_is_not_known_is_refused(bench: ApiBench) -> None:
    assert bench.get("/v1/tasks?statsu=queued").code == "invalid_request"


def test_bulk_changes_are_limited_as_lists_are(bench: ApiBench) -> None:
    submitted(bench, title="One", type="review")
    other = submitted(bench, title="Two").json["id"]
    request = {"filter": {"type": ["general"], "executor": ["sh"], "created_after": "2020-01-01T00:00:00Z"}}
    done = bench.post("/v1/tasks/bulk", request | {"action": "cancel"}).json

    assert [(task["id"], task["done"]) for task in done["tasks"]] == [(other, True)]
    limits_nothing: list[dict[str, Any]] = [{}, {"status": []}, {"ids": []}, {"text": None}]
    for empty in limits_nothing:
        assert bench.post("/v1/tasks/bulk", {"filter": empty, "action": "cancel"}).code == "invalid_request"


def test_health_names_what_a_reader_sees(bench: ApiBench) -> None:
    bench.rig.start()
    task_id = submitted(bench, instructions="echo x > begun; sleep 600").json["id"]
    bench.rig.started("begun")
    limited = bench.token("reviews", "read", types="review")
    general = bench.token("general", "read", types="general")

    assert bench.get("/v1/health").json["details"]["running_ids"] == [task_id]
    assert bench.get("/v1/health", token=general).json["details"]["running_ids"] == [task_id]
    assert bench.get("/v1/health", token=limited).json["details"]["running_ids"] == []
