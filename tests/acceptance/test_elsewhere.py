"""Commands, and the API, about a task of another host of the fleet: where it is, and nothing done to one here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.task import TaskState
from tests.acceptance.rig import Rig
from tests.api.bench import ApiBench
from tests.sighted import SETTINGS, keep_sight, task_of

RUNS = task_of("task-1", attempt=2)
ENDED = task_of("task-done", TaskState.FAILED, outcome="failed", error="exit code 3", cost_usd=1.25)
WAITS = task_of("task-later", TaskState.PENDING)


def keep(rig: Rig) -> None:
    (state,) = (rig.home / ".local/state/task-queue").iterdir()
    keep_sight(state, RUNS, ENDED, WAITS)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, fleet=SETTINGS)
    rig.cli("stop", check=True)  # makes the folder of its state
    keep(rig)
    yield rig
    rig.close()


@pytest.mark.parametrize(
    "command",
    [
        *(("tasks", each, "task-1") for each in ("cancel", "retry", "logs", "diff", "undo", "land", "ack")),
        *(("tasks", each, "task-1") for each in ("edit", "open", "tree", "wait")),
        ("tasks", "priority", "task-1", "3"),
        ("tasks", "move", "task-1", "a"),
        ("jobs", "task-1"),
        ("jobs", "--cancel", "task-1"),
    ],
    ids=" ".join,
)
def test_a_command_says_at_which_host_the_task_is(rig: Rig, command: tuple[str, ...]) -> None:
    """A longer id of a task here has that of the other in it, and is not taken for it."""
    rig.drop("task-10", "# Here")
    done = rig.cli(*command)

    assert done.returncode == 1, done.stdout
    assert "task task-1 is not of this host: it came in at front, runs here since" in done.stderr
    assert "give that command on host front" in done.stderr
    assert not list(rig.pending().glob("*.cancel"))


def test_a_part_of_an_id_means_a_task_here_first(rig: Rig) -> None:
    rig.drop("task-later-here", "# Here")

    assert "task-later-here" in rig.cli("tasks", "show", "later-h", check=True).stdout
    assert "at host front" in rig.cli("tasks", "show", "done", check=True).stdout
    assert (
        "'task-' is part of the ids of 3 tasks of other hosts"
        in _without(rig).cli("tasks", "show", "task-").stderr
    )


def _without(rig: Rig) -> Rig:
    (rig.pending() / "task-later-here.md").unlink()
    return rig


def test_what_is_known_of_it_is_shown(rig: Rig) -> None:
    runs, ended = (rig.cli("tasks", "show", each, check=True).stdout for each in ("task-1", "task-done"))
    view = rig.json("tasks", "show", "task-done")

    assert [line.split() for line in runs.splitlines()][:5] == [
        ["task-1", "running"],
        ["title", "About", "task-1"],
        ["source", "app"],
        ["came", "in", "at", "host", "front"],
        ["runs", "on", "this", "host"],
    ]
    assert {"outcome    failed", "error      exit code 3", "cost       $1.25"} <= {
        line.strip() for line in ended.splitlines()
    }
    assert (view["task_id"], view["state"], view["here"]) == ("task-done", "failed", "back")
    assert (view["elsewhere"]["came_in_at"], view["elsewhere"]["cost_usd"]) == ("front", 1.25)


def test_plan_and_report_have_what_fits(rig: Rig) -> None:
    plan, report = rig.json("plan")["fleet"]["tasks"], rig.json("report")["fleet"]["tasks"]
    page = rig.cli("report", "--format", "markdown", check=True).stdout

    assert [task["task_id"] for task in plan] == ["task-1", "task-later"]
    assert [task["task_id"] for task in report] == ["task-1", "task-done"]
    assert rig.json("report", "--since", "1h")["fleet"]["tasks"] == report[:1]
    assert "Elsewhere in the fleet" in page
    assert "elsewhere in the fleet" in rig.cli("plan").stdout


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"host": "another"}', '{"host": "back", "tasks": [{}, 7]}']
)
def test_a_file_that_says_nothing_is_nothing_known(rig: Rig, content: str) -> None:
    (file,) = rig.home.glob(".local/state/task-queue/*/fleet/sight.json")
    file.write_text(content)

    assert rig.json("status")["fleet"]["tasks"] == []
    assert "there is no task task-1" in rig.cli("tasks", "show", "task-1").stderr


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ApiBench]:
    bench = ApiBench(tmp_path, fleet=SETTINGS)
    bench.start()
    keep(bench.rig)
    yield bench
    bench.stop()


def test_the_api_says_it_to_who_sees_every_task(served: ApiBench) -> None:
    limited = served.token("limited", "read", "submit", sources="a")
    ask: Callable[..., Any] = served.ask
    cancelled, there = ask("POST", "/v1/tasks/task-1/cancel"), served.get("/v1/tasks/task-1")
    details = served.get("/v1/tasks/task-done/details").json

    assert (there.status, there.code, cancelled.code) == (404, "task_elsewhere", "task_elsewhere")
    assert there.json["details"] == {
        "state": "running",
        "source": "app",
        "came_in_at": "front",
        "host": "back",
    }
    assert served.get("/v1/tasks/task-1", token=limited).code == "task_not_found"
    assert details["elsewhere"]["outcome"] == "failed"
    assert len(served.get("/v1/status").json["fleet"]["tasks"]) == 3
    assert served.get("/v1/listing?state=pending").json["fleet"]["tasks"][0]["task_id"] == "task-later"


def test_a_command_that_asks_a_server_says_it_too(served: ApiBench) -> None:
    server = f"unix:{served.socket_path}"
    done = served.rig.cli("jobs", "--cancel", "task-1", "--server", server)
    status = json.loads(served.rig.cli("status", "--server", server, "--json").stdout)

    assert "task task-1 is not of this host" in done.stderr
    assert "elsewhere in the fleet" in served.rig.cli("status", "--server", server).stdout
    assert status["fleet"]["host"] == "back"
