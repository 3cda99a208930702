"""Work that a worker hands in over HTTP: checked and landed by the server, with no daemon, whatever is killed."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.audits import a_repository, git
from tests.api.bench import ApiBench, Reply
from tests.api.test_artifacts import digest_of, put
from tests.processes import environments
from tests.waiting import eventually

BUNDLE = "work-1.bundle"


@dataclass
class Site:
    """A queue whose tasks workers carry out, its repository, and a worker with a clone of that."""

    bench: ApiBench
    repository: Path
    clone: Path
    token: str

    def claimed(self, **keys: Any) -> dict[str, Any]:
        self.bench.rig.drop_command("task-a", "true", **keys)
        wish = {"worker_id": "builder", "wait_seconds": 20}
        answer = self.bench.post("/v1/claims", wish, token=self.token).json
        assert answer["task"]["id"] == "task-a"
        found: dict[str, Any] = answer["claim"]
        return found

    def bundle(self, *names: str, order: dict[str, Any]) -> bytes:
        """A worker's commit of files, on what its order says that the work begins on."""
        self.git("checkout", "-q", "-B", order["branch"], order["base_commit"])
        for name in names:
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("work\n")
            self.git("add", name)
        self.git("commit", "-qm", "Work")
        self.git("bundle", "create", "-q", "../work.bundle", "HEAD", f"^{order['base_commit']}")
        return (self.clone.parent / "work.bundle").read_bytes()

    def handed_in(self, claim: dict[str, Any]) -> dict[str, str]:
        base = claim["order"]["base_commit"]
        return {"bundle": BUNDLE, "tip": self.git("rev-parse", "HEAD"), "base_commit": base}

    def git(self, *words: str) -> str:
        return git(self.clone, *words)

    def put(self, claim: dict[str, Any], data: bytes, **headers: str) -> Reply:
        return put(
            self.bench,
            f"/v1/tasks/task-a/artifacts/{BUNDLE}",
            data,
            token=self.token,
            Content_Type="application/x-git-bundle",
            Task_Queue_Claim=f"{claim['id']};epoch={claim['epoch']}",
            **headers,
        )

    def complete(self, claim: dict[str, Any], handed_in: dict[str, str] | None) -> Reply:
        body = {
            "epoch": claim["epoch"],
            "outcome": {"kind": "succeeded", "reason": "the agent ended cleanly"},
            "work": {"output": "It works.", "num_turns": 3, "total_cost_usd": 0.12},
        }
        given = body if handed_in is None else body | {"handed_in": handed_in}
        return self.bench.post(f"/v1/claims/{claim['id']}/complete", given, token=self.token)

    def result(self) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            task = self.bench.get("/v1/tasks/task-a").json
            return task["result"] if task["status"] in {"completed", "failed"} else None

        found = eventually(ended, timeout=60, what="the task ended")
        assert found is not None
        return found


@pytest.fixture
def site(a_bench: Callable[..., ApiBench]) -> Site:
    source = {"id": "a", "served_by": "workers", "slots": 2}
    bench = a_bench(settle_seconds=0)
    content = json.loads(bench.rig.config.read_text())
    content["task_source_directories"][0] |= source
    bench.rig.config.write_text(json.dumps(content))
    repository = a_repository(bench.rig)
    clone = bench.rig.home / "elsewhere"
    git(repository, "clone", "-q", str(repository), str(clone))
    git(clone, "config", "user.name", "Worker")
    git(clone, "config", "user.email", "worker@example.org")
    bench.start()
    return Site(bench, repository, clone, bench.token("builder", "work"))


def test_what_passes_is_landed(site: Site) -> None:
    """From the claim to the target branch; the task was running all the while, and what came with it was named."""
    claim = site.claimed(verify="test -e second.txt", landing="merge")
    shown = site.bench.get("/workers").data.decode()
    first = site.put(claim, site.bundle("second.txt", order=claim["order"]))
    done = site.complete(claim, site.handed_in(claim))
    again = site.complete(claim, site.handed_in(claim))
    result = site.result()

    assert '<th scope="row">builder</th>' in shown
    assert first.status == 201
    assert (done.json["answer"], again.json["answer"]) == ("applied", "already_applied")
    assert done.json["task"]["status"] in {"running", "completed"}
    assert (result["outcome"], result["output"], result["total_cost_usd"]) == ("succeeded", "It works.", 0.12)
    assert result["landing"]["state"] == "landed"
    assert result["verification"][0]["exit_code"] == 0
    assert (site.repository / "second.txt").read_text() == "work\n"
    assert site.complete(claim, site.handed_in(claim)).json["answer"] == "already_applied"
    assert site.put(claim, b"late").json["details"]["state"] == "completed"


def test_what_fails_is_not_landed(site: Site) -> None:
    claim = site.claimed(verify="'echo no >&2; test ! -e second.txt'", landing="merge", max_attempts=1)
    site.put(claim, site.bundle("second.txt", order=claim["order"]))
    site.complete(claim, site.handed_in(claim))
    result = site.result()

    assert result["outcome"] == "verify_failed"
    assert not result["success"]
    assert not (site.repository / "second.txt").exists()
    assert git(site.repository, "rev-parse", "task-queue/task-a") == site.git("rev-parse", "HEAD")


def test_what_was_not_handed_in_cannot_be_reported(site: Site) -> None:
    """The report is refused, and can be made once the bundle is there; a part of it is not enough."""
    claim = site.claimed()
    data = site.bundle("second.txt", order=claim["order"])
    none = site.complete(claim, site.handed_in(claim))
    site.put(claim, data[:50], Content_Range=f"bytes 0-49/{len(data)}")
    part = site.complete(claim, site.handed_in(claim))
    site.put(claim, data[50:], Content_Range=f"bytes 50-{len(data) - 1}/{len(data)}")
    odd = site.complete(claim, site.handed_in(claim) | {"bundle": "../../../config.json"})

    assert [reply.code for reply in (none, part, odd)] == ["invalid_request"] * 3
    assert site.complete(claim, site.handed_in(claim)).json["answer"] == "applied"
    assert site.result()["outcome"] == "succeeded"


def test_a_hostile_bundle_ends_the_attempt_and_changes_nothing(site: Site) -> None:
    claim = site.claimed(max_attempts=1)
    site.bundle("second.txt", order=claim["order"])
    site.put(claim, b"# v2 git bundle\nnonsense")
    before = git(site.repository, "for-each-ref", "refs/heads")
    site.complete(claim, site.handed_in(claim))
    result = site.result()

    assert result["outcome"] == "failed"
    assert "its commits were not taken" in result["error"]
    assert git(site.repository, "for-each-ref", "refs/heads") == before


def test_a_task_without_commits_ends_as_reported(site: Site) -> None:
    claim = site.claimed()
    site.complete(claim, None)

    assert site.result()["outcome"] == "succeeded"


def test_files_of_a_task_come_with_its_order(site: Site) -> None:
    """Handed in while it waited; the worker reads them, and adds its own as long as it holds the claim."""
    task = site.bench.post(
        "/v1/tasks",
        {"title": "A", "instructions": "x", "executor": "sh", "not_before": "2099-01-01T00:00:00Z"},
    )
    path = f"/v1/tasks/{task.json['id']}/artifacts"
    put(site.bench, f"{path}/figures.csv", b"1,2\n", Content_Type="text/csv")
    site.bench.ask("PATCH", f"/v1/tasks/{task.json['id']}", {"not_before": "2026-01-01T00:00:00Z"})
    answer = site.bench.post(
        "/v1/claims", {"worker_id": "builder", "wait_seconds": 20}, token=site.token
    ).json
    claim = answer["claim"]
    named = f"{claim['id']};epoch={claim['epoch']}"
    mine = put(site.bench, f"{path}/mine", token=site.token, Task_Queue_Claim=named)
    wrong = put(site.bench, f"{path}/mine", token=site.token, Task_Queue_Claim=f"{claim['id']};epoch=7")
    other = site.bench.token("other", "work")
    stranger = put(site.bench, f"{path}/mine", token=other, Task_Queue_Claim=named)
    submitter = put(site.bench, f"{path}/figures.csv", b"3", Content_Type="text/csv")

    assert [each["name"] for each in claim["order"]["artifacts"]] == ["figures.csv"]
    assert claim["order"]["artifacts"][0]["size"] == 4
    assert site.bench.get(f"{path}/figures.csv", token=site.token).data == b"1,2\n"
    assert mine.status == 201
    assert (wrong.code, stranger.code, submitter.code) == ("fenced", "not_owner", "task_running")
    assert (
        put(site.bench, "/v1/tasks/task-b/artifacts/x", token=site.token, Task_Queue_Claim=named).status
        == 404
    )


WAITS = "'echo $$ >> $HOME/pids; until test -e $HOME/go; do sleep 0.02; done'"


@pytest.mark.parametrize("also", ["the API", "the API and what checks"])
def test_a_kill_while_it_is_checked_costs_nothing(site: Site, also: str) -> None:
    """The next API goes on with it: one result, one landing."""
    claim = site.claimed(verify=WAITS, landing="merge")
    data = site.bundle("second.txt", order=claim["order"])
    site.put(claim, data, Repr_Digest=digest_of(data))
    site.complete(claim, site.handed_in(claim))
    pids = site.bench.rig.home / "pids"
    eventually(pids.exists)
    assert site.bench.get("/v1/tasks/task-a").json["status"] == "running"
    site.bench.kill()
    if also != "the API":
        for pid, lines in environments():
            if any(line.startswith(b"TASK_QUEUE_ATTEMPT=a:task-a:") for line in lines):
                os.kill(pid, signal.SIGKILL)
    site.bench.start()
    again = site.complete(claim, site.handed_in(claim))
    (site.bench.rig.home / "go").touch()
    result = site.result()

    assert again.json["answer"] == "already_applied"
    assert (result["outcome"], result["landing"]["state"]) == ("succeeded", "landed")
    assert len(result["attempts"]) == 1
    assert git(site.repository, "log", "--format=%s").splitlines() == ["Work", "First"]


@pytest.mark.parametrize("after", ["claim", "part", "bundle", "complete"])
def test_a_kill_between_two_answers_costs_nothing(site: Site, after: str) -> None:
    """Whatever was answered is there afterwards, and what was not is asked again."""
    claim = site.claimed(verify="true", landing="merge")
    data = site.bundle("second.txt", order=claim["order"])
    half, total = len(data) // 2, len(data)

    def killed(here: str) -> None:
        if here == after:
            site.bench.kill()
            site.bench.start()

    killed("claim")
    site.put(claim, data[:half], Content_Range=f"bytes 0-{half - 1}/{total}")
    killed("part")
    path = f"/v1/tasks/task-a/artifacts/{BUNDLE}"
    at = int(site.bench.ask("HEAD", path, token=site.token).headers["upload-offset"])
    site.put(claim, data[at:], Content_Range=f"bytes {at}-{total - 1}/{total}", Repr_Digest=digest_of(data))
    killed("bundle")
    first = site.complete(claim, site.handed_in(claim)).json["answer"]
    killed("complete")

    assert at == half
    assert first == "applied"
    assert site.complete(claim, site.handed_in(claim)).json["answer"] == "already_applied"
    assert site.result()["landing"]["state"] == "landed"
    assert git(site.repository, "log", "--format=%s").splitlines() == ["Work", "First"]


def test_a_claim_whose_answer_was_lost_is_there_for_its_key(site: Site) -> None:
    """After a kill -9 of the API, and though the server's branch has moved on: the same claim, which then counts."""
    site.bench.rig.drop_command("task-a", "true", landing="branch")
    site.bench.rig.drop_command("task-b", "true")
    other = site.bench.token("other", "work")

    def claim(token: str = site.token) -> dict[str, Any]:
        answer = site.bench.post("/v1/claims", {"wait_seconds": 20}, token=token, Idempotency_Key="k")
        found: dict[str, Any] = answer.json["claim"]
        del found["lease_expires_at"]
        return found

    lost = claim()
    git(site.repository, "commit", "-q", "--allow-empty", "-m", "Later")
    site.bench.kill()
    kept = (site.bench.rig.queue() / "logs" / "task-a" / "attempt-1" / "order.json").read_text()
    site.bench.start()

    assert claim() == lost
    token = base64.urlsafe_b64decode(lost["id"].rpartition(".")[2] + "=").hex()
    assert token not in kept
    assert claim(other)["order"]["task_id"] == "task-b"
    site.put(lost, site.bundle("second.txt", order=lost["order"]))
    assert site.complete(lost, site.handed_in(lost)).json["answer"] == "applied"
    assert (site.result()["outcome"], len(site.result()["attempts"])) == ("succeeded", 1)


def test_a_clone_gets_what_its_work_begins_on(site: Site) -> None:
    """A commit that was never pushed anywhere; from nothing, or beside what is there. Only its worker gets it."""
    old = site.git("rev-parse", "HEAD")
    (site.repository / "third.txt").write_text("third\n")
    git(site.repository, "add", ".")
    git(site.repository, "commit", "-qm", "Third")
    claim = site.claimed()
    path, base = f"/v1/claims/{claim['id']}/base", claim["order"]["base_commit"]
    whole = site.bench.get(path, token=site.token)
    narrow = site.bench.get(f"{path}?have={old}&have={'7' * 40}", token=site.token)
    file = site.clone.parent / "base.bundle"
    file.write_bytes(narrow.data)
    site.git("fetch", "-q", str(file), "+refs/*:refs/base/*")

    assert whole.headers["content-type"] == "application/x-git-bundle"
    assert len(narrow.data) < len(whole.data)
    assert site.git("cat-file", "-t", base) == "commit"
    assert site.bench.get(path, token=site.bench.token("other", "work")).code == "not_owner"
    assert site.bench.get(f"{path}?have=--all", token=site.token).code == "invalid_request"
    assert site.bench.get("/v1/claims/nonsense/base", token=site.token).code == "claim_not_found"
    site.put(claim, site.bundle("second.txt", order=claim["order"]))
    site.complete(claim, site.handed_in(claim))
    assert site.result()["outcome"] == "succeeded"
    assert "refs/task-queue/" not in git(site.repository, "for-each-ref")
    assert site.bench.get(path, token=site.token).status == 409
