"""``kill -9`` of the API and of the daemon between any two answers: what was accepted is there, once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Any

import pytest

from tests.api.bench import ApiBench, Reply
from tests.api.test_tasks import submitted
from tests.sampling import short_and_long
from tests.waiting import eventually

_KEPT = {"title": "Once", "instructions": "echo once >> ran", "executor": "sh"}


def documents(bench: ApiBench) -> list[str]:
    folders = (bench.rig.queue() / name for name in ("pending", "completed", "failed"))
    return sorted(path.name for folder in folders if folder.is_dir() for path in folder.glob("*.md"))


def kept_alive(bench: ApiBench) -> None:
    """Kill the API, and wait until the daemon has started it again."""
    before = int(bench.state["pid"])
    os.kill(before, signal.SIGKILL)
    if bench.process is not None:
        bench.process.wait(timeout=20)
        bench.process = None

    def answers() -> bool:
        with suppress(OSError):
            return bench.state["pid"] != before and bench.get("/v1/health").status == 200
        return False

    eventually(answers, timeout=60, what="the daemon has started the API again")


def asked_and_killed(bench: ApiBench, ask: Callable[[], Reply], *, after_s: float) -> Reply | None:
    """The answer, if one came before the API was killed."""
    answers: list[Reply] = []

    def run() -> None:
        with suppress(OSError, HTTPException):
            answers.append(ask())

    asking = threading.Thread(target=run)
    asking.start()
    asking.join(after_s)
    bench.kill()
    asking.join(30)
    return answers[0] if answers else None


@pytest.mark.parametrize("after_ms", short_and_long([1, 12], [0, 3, 6, 9, 15, 20, 30, 50, 80]))
def test_a_submission_that_is_killed_is_made_once_by_its_retry(bench: ApiBench, after_ms: int) -> None:
    """Whether its answer came or not; and the task runs once."""
    first = asked_and_killed(bench, lambda: submitted(bench, key="k", **_KEPT), after_s=after_ms / 1000)
    before = documents(bench)
    bench.start()
    again = submitted(bench, key="k", **_KEPT)

    assert again.status == 202, again.data
    if first is not None:
        assert first.status == 202
        assert before == [f"{first.json['id']}.md"]
        assert again.json["id"] == first.json["id"]
    assert documents(bench) == [f"{again.json['id']}.md"]
    bench.rig.start()
    bench.rig.result(again.json["id"])
    assert bench.rig.side_effects("ran") == ["once"]


def test_each_answer_stands_after_a_kill(bench: ApiBench) -> None:
    """Submit, change, cancel, retry: after each answer the API is killed, and what it said is so."""
    task = submitted(bench, priority=3).json["id"]
    path = f"/v1/tasks/{task}"

    def killed() -> dict[str, Any]:
        if bench.rig.daemons:
            kept_alive(bench)
        else:
            bench.kill()
            bench.start()
        found: dict[str, Any] = bench.get(path).json
        return found

    assert killed()["priority"] == 3
    assert bench.ask("PATCH", path, {"priority": 9}).status == 200
    assert killed()["priority"] == 9
    assert bench.post(f"{path}/cancel").status == 202
    assert killed()["cancel_requested"]
    bench.rig.start()
    eventually(lambda: bench.get(path).json["status"] == "cancelled")
    assert bench.post(f"{path}/retry").status == 202
    assert killed()["status"] in {"queued", "running", "completed"}
    assert bench.rig.result(task)["outcome"] == "succeeded"
    assert documents(bench) == [f"{task}.md"]


@pytest.mark.parametrize("step", short_and_long(["cancel", "retry"], ["submit", "change"]))
def test_the_daemon_is_killed_between_any_two_answers(bench: ApiBench, step: str) -> None:
    """The API goes on; the next daemon does what was asked."""
    daemon = bench.rig.start()
    if step == "retry":
        task = submitted(bench, instructions="test -e go", max_attempts=1).json["id"]
        bench.rig.result(task)
        (bench.rig.workspace / "go").touch()
        bench.rig.drop_command("task-first", "sleep 0.5", priority=10)
        assert bench.post(f"/v1/tasks/{task}/retry").status == 202
    elif step == "cancel":
        task = submitted(bench, instructions="echo x > begun; sleep 600").json["id"]
        bench.rig.started("begun")
        assert bench.post(f"/v1/tasks/{task}/cancel").status == 202
    else:
        task = submitted(bench, instructions="echo x >> ran", not_before="2099-01-01T00:00:00Z").json["id"]
        if step == "change":
            assert bench.ask("PATCH", f"/v1/tasks/{task}", {"not_before": None}).status == 200
    daemon.kill()
    daemon.wait()
    assert bench.get(f"/v1/tasks/{task}").status == 200
    if step == "submit":
        assert bench.ask("PATCH", f"/v1/tasks/{task}", {"not_before": None}).status == 200
    bench.rig.start()
    wanted = "cancelled" if step == "cancel" else "completed"
    eventually(lambda: bench.get(f"/v1/tasks/{task}").json["status"] == wanted, timeout=60)

    assert documents(bench).count(f"{task}.md") == 1
    if step in {"submit", "change"}:
        assert bench.rig.side_effects("ran") == ["x"]


def test_a_change_that_is_killed_is_whole_or_not_made(bench: ApiBench) -> None:
    """The document is the one before or the one after, and waits in one source."""
    task = submitted(bench, priority=2).json["id"]
    path = f"/v1/tasks/{task}"
    for delay_ms in (2, 8):
        text = (bench.rig.pending() / f"{task}.md").read_text()
        asked_and_killed(
            bench,
            lambda: bench.ask("PATCH", path, {"priority": 7, "not_before": "2099-01-01T00:00:00Z"}),
            after_s=delay_ms / 1000,
        )
        after = (bench.rig.pending() / f"{task}.md").read_text()
        bench.start()
        found = bench.get(path).json
        is_made = "priority: 7" in after and "2099" in after

        assert is_made or after == text
        assert (found["priority"] == 7) == is_made
    assert documents(bench) == [f"{task}.md"]
