"""Sources that workers serve, as a person sees them; and the daemon beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import pytest

from tests.api.bench import ApiBench
from tests.sampling import short_and_long
from tests.waiting import eventually


@pytest.fixture
def a_bench() -> Iterator[Callable[..., ApiBench]]:
    """Source ``a`` of the daemon, and ``far`` for workers."""
    made: list[ApiBench] = []
    with TemporaryDirectory(prefix="tq-", ignore_cleanup_errors=True) as folder:

        def make(far: Mapping[str, Any] = MappingProxyType({}), **config: Any) -> ApiBench:
            home = Path(folder)
            for_workers = {"served_by": "workers", "slots": 2, **far}
            sources = [
                {"id": name, "path": str(home / "tasks" / name / "pending"), **keys}
                for name, keys in (("a", {}), ("far", for_workers))
            ]
            made.append(ApiBench(home, sources=("a", "far"), task_source_directories=sources, **config))
            return made[-1]

        yield make
        for bench in made:
            bench.kill()
            bench.rig.close()


def claim(bench: ApiBench, **more: Any) -> Any:
    answer = bench.post("/v1/claims", {"worker_id": "w1", **more})
    assert answer.status == 200, answer.data
    return answer.json["claim"]


def complete(bench: ApiBench, given: Any) -> Any:
    body = {"epoch": given["epoch"], "outcome": {"kind": "succeeded", "reason": "done"}}
    return bench.post(f"/v1/claims/{given['id']}/complete", body)


def test_the_daemon_leaves_such_a_source_alone(a_bench: Callable[..., ApiBench]) -> None:
    """It serves its own; the API serves that one, whether the daemon runs or not."""
    bench = a_bench()
    bench.rig.drop_command("task-far", "true", source="far")
    bench.rig.start()
    bench.rig.drop_command("task-near", "true")
    eventually((bench.rig.queue() / "completed" / "task-near.md").exists)
    assert bench.rig.json("tasks", "show", "task-far")["state"] == "pending"
    eventually(lambda: bench.state.get("pid"))
    given: list[Any] = []

    def claimed() -> bool:
        given[:] = [claim(bench)]
        return given[0] is not None

    eventually(claimed)
    assert complete(bench, given[0]).json["answer"] == "applied"
    assert bench.rig.json("tasks", "show", "task-far")["state"] == "completed"


def test_places_are_those_of_the_daemon_and_the_workers(a_bench: Callable[..., ApiBench]) -> None:
    """Two processes, one limit: what a worker has in its hands keeps a task of the daemon's waiting, which goes on
    by itself."""
    bench = a_bench(limits={"running": 1}, sweep_seconds=3600)
    bench.rig.start()
    bench.rig.drop_command("task-far", "true", source="far")
    eventually(lambda: bench.state.get("pid"))
    given = claim(bench, wait_seconds=10)
    bench.rig.drop_command("task-near", "true")

    def why() -> str:
        found = {each["id"]: each for each in bench.rig.json("status")["sources"]}["a"]
        return str(found["why"])

    eventually(lambda: "all 1 places for agents are taken" in why())
    assert complete(bench, given).json["answer"] == "applied"
    eventually((bench.rig.queue() / "completed" / "task-near.md").exists)


def test_status_says_who_serves_a_source_and_who_works(a_bench: Callable[..., ApiBench]) -> None:
    bench = a_bench()
    bench.rig.drop_command("task-far", "true", source="far")
    before = {each["id"]: each for each in bench.rig.json("status")["sources"]}["far"]
    bench.start()
    claim(bench)

    def served() -> bool:
        after = {each["id"]: each for each in bench.rig.json("status")["sources"]}["far"]
        return (after["state"], after["running"][0]["runner"]) == ("serving", "remote")

    assert (before["state"], "the API, which does not run" in " ".join(str(before["why"]).split())) == (
        "unserved",
        True,
    )
    eventually(served)
    assert "with worker w1" in bench.rig.cli("status").stdout
    listed = {each["id"]: each for each in bench.rig.json("sources", "list")["sources"]}
    assert (listed["far"]["served_by"], listed["far"]["slots"], listed["a"]["served_by"]) == (
        "workers",
        2,
        "daemon",
    )
    assert "workers, 2 at once" in bench.rig.cli("sources", "list").stdout
    remote = bench.get("/v1/workers").json["remote"]
    assert [(each["worker_id"], each["claims"][0]["task_id"]) for each in remote] == [("w1", "task-far")]


def test_a_waiting_task_is_cancelled_with_only_the_api_running(a_bench: Callable[..., ApiBench]) -> None:
    """At once, though no worker asks."""
    bench = a_bench(sweep_seconds=3600)
    bench.start()
    bench.rig.drop_command("task-1", "true", source="far")
    done = bench.rig.cli("tasks", "cancel", "task-1")

    assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: bench.rig.json("tasks", "show", "task-1")["state"] == "failed", timeout=10)


def test_sources_are_added_for_workers(a_bench: Callable[..., ApiBench]) -> None:
    """And served by the API that runs already."""
    bench = a_bench()
    bench.start()
    queue = bench.rig.home / "tasks" / "new"
    options = ("--for-workers", "--slots", "3", "--repository", "https://git.example.org/team/shop.git")
    bench.rig.cli("sources", "add", str(queue), "--id", "new", *options, check=True)
    bench.rig.drop_command("task-new", "true", source="new")
    given = claim(bench, sources=["new"], wait_seconds=10)

    assert given["order"]["repository"] == "https://git.example.org/team/shop.git"
    assert bench.rig.cli("sources", "add", "x", "--id", "y", "--slots", "3").returncode == 2
    assert "names no repository" in bench.rig.cli("doctor").stdout


def test_a_task_is_offered_to_those_who_fetch_its_repository(a_bench: Callable[..., ApiBench]) -> None:
    """Where nobody who asked does, a person hears what to start."""
    bench = a_bench(far={"repository": "https://git.example.org/team/shop.git"})
    bench.start()
    bench.rig.drop_command("task-1", "true", source="far")
    other, shop = ["git.example.org/team/other"], ["git@git.example.org:team/shop"]
    eventually(lambda: "task-1" in bench.get("/v1/tasks").data.decode(), what="it is there")

    def needs() -> str:
        return " ".join(bench.rig.cli("status").stdout.split())

    assert claim(bench, repositories=other) is None
    assert claim(bench, repositories=[]) is None
    assert claim(bench, repositories=["*"], except_repositories=shop) is None
    eventually(
        lambda: "no worker that asked fetches git.example.org/team/shop (w1): start one" in needs(),
        what="it is said",
    )
    given = claim(bench, worker_id="w2", repositories=[*other, *shop])

    assert given["order"]["task_id"] == "task-1"
    eventually(lambda: "no worker that asked" not in needs(), what="it is over")


def test_slots_are_for_workers_only(a_bench: Callable[..., ApiBench]) -> None:
    bench = a_bench(far={"served_by": "daemon"})

    assert "only with served_by: workers" in bench.rig.cli("doctor").stdout


@pytest.mark.parametrize("killed_before", short_and_long(["complete"], ["heartbeat frames complete again"]))
def test_a_claim_that_was_answered_outlives_kills_of_the_api(
    a_bench: Callable[..., ApiBench], killed_before: str
) -> None:
    """Between any two answers; what was answered is not done a second time."""
    bench = a_bench()
    bench.start()
    bench.rig.drop_command("task-1", "true", source="far")
    given = claim(bench, wait_seconds=10)
    path = f"/v1/claims/{given['id']}"
    for verb, body in (
        ("heartbeat", {"progress": {"percent": 5}}),
        ("frames", {"offset": 0, "lines": ['{"t": "x"}']}),
        ("complete", {"outcome": {"kind": "succeeded", "reason": "done"}}),
        ("again", {"outcome": {"kind": "succeeded", "reason": "done"}}),
    ):
        if verb in killed_before.split():
            bench.kill()
            bench.start()
            assert claim(bench) is None
        operation = "complete" if verb == "again" else verb
        answer = bench.post(f"{path}/{operation}", {"epoch": 1, **body})
        assert answer.status == 200, answer.data
    assert answer.json["answer"] == "already_applied"
    result = json.loads((bench.rig.queue("far") / "results" / "task-1.json").read_text())
    assert (result["success"], len(result["attempts"])) == (True, 1)
