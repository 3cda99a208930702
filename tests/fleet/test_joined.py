"""Hosts that have joined: what comes in on one is carried out where it may, and is shown where it came in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from task_queue.fleet.database import Database
from tests.acceptance.audits import a_repository, git
from tests.acceptance.rig import Rig
from tests.fleet.cluster import Cluster, own_cluster, why_no_cluster
from tests.fleet.machines import MakeMachine, noting
from tests.proof.fleet import SCENARIOS, prove
from tests.waiting import eventually


@pytest.mark.parametrize(
    "scenario",
    ["plain", *(pytest.param(each, marks=pytest.mark.long) for each in SCENARIOS if each != "plain")],
)
def test_what_happens_to_hosts_doubles_and_loses_nothing(tmp_path: Path, scenario: str) -> None:
    """The proof, short: an order for each source, over two hosts, a dependency, a capability that one has."""
    why = why_no_cluster()
    if why is not None:
        pytest.skip(why)
    with own_cluster() as cluster:
        names = ("front", "back") if scenario == "plain" else ("front", "middle", "back")
        tasks, takes_s = (3, 50.0) if scenario == "orphan" else (9, 0.1)
        report = prove(
            tmp_path, cluster, scenario, tasks=tasks, names=names, sources=("s1", "s2", "s3"), takes_s=takes_s
        )

    assert report.violations == 0, report
    assert report.starts >= tasks


def waits_for_another(database: Database, name: str) -> bool:
    with database.transaction() as cursor:
        cursor.execute("SELECT 1 FROM task WHERE name = %s AND depends_on IS NOT NULL", [name])
        return cursor.fetchone() is not None


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_the_command_joins_and_the_daemon_is_a_host(
    cluster: Cluster, database: Database, tmp_path: Path
) -> None:
    """From the credential that was printed to a result, and back to a machine alone."""
    rig, place = Rig(tmp_path / "solo"), ("--db", cluster.url, "--schema", database.address.schema)
    credential = rig.home / "credential"
    credential.write_text(rig.cli("fleet", "host", "add", "solo", "--capabilities", "gpu", *place).stdout)
    credential.chmod(0o644)
    join = ("fleet", "join", "solo", *place, "--credential-file", str(credential))
    open_to_others = rig.cli(*join)
    credential.chmod(0o600)
    rig.cli(*join, check=True)
    try:
        rig.start()
        rig.drop_command("task-1", "echo said", capabilities="gpu")
        result = rig.result("task-1")
        status = rig.cli("fleet", "status", *place, check=True).stdout
    finally:
        rig.close()

    assert "other users can read it" in open_to_others.stderr
    assert (result["success"], result["worker"]) == (True, "solo")
    assert "solo" in status


def test_a_host_alone_carries_out_what_comes_in(machine: MakeMachine, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    one = machine("one")
    one.drop("task-1", noting(starts, "task-1"))
    one.start()

    result = one.result("task-1")

    assert (result["success"], result["worker"]) == (True, "one")
    assert lines(starts) == [f"task-1 {one.home}"]


def test_another_host_carries_it_out_and_the_first_shows_it(machine: MakeMachine, tmp_path: Path) -> None:
    starts, go = tmp_path / "starts", tmp_path / "go"
    front = machine("front", sources=(), shared=("app",), slots=0)
    back = machine("back", sources=(), shared=("app",))
    front.start()
    back.start()
    front.drop(
        "task-1",
        noting(starts, "task-1", f"while [ ! -e {go} ]; do sleep 0.05; done", "echo said"),
        source="app",
    )
    front.drop("task-2", noting(starts, "task-2"), source="app")

    running = eventually(lambda: front.run_lines("app"), what="it is shown as running")
    go.touch()
    first, second = front.result("task-1", source="app"), front.result("task-2", source="app")

    assert [(each["task_id"], each["worker"]) for each in running] == [("task-1", "back")]
    assert (first["worker"], second["worker"]) == ("back", "back")
    assert lines(starts) == [f"task-1 {back.home}", f"task-2 {back.home}"]
    assert "said" in front.cli("tasks", "logs", "task-1", check=True).stdout
    assert not list((back.home / ".local/state/task-queue").glob("*/fleet/guests/*/logs/*"))


def test_tasks_that_wait_for_each_other_on_two_hosts_do_not_wait_for_ever(
    machine: MakeMachine, database: Database, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    one, two = machine("one", sources=("a",)), machine("two", sources=("b",))
    one.start()
    two.start()
    one.drop("task-a", noting(starts, "task-a", depends_on="task-b"))
    eventually(lambda: waits_for_another(database, "task-a"), what="it waits in the fleet")
    two.drop("task-b", noting(starts, "task-b", depends_on="task-a"), source="b")

    result = two.result("task-b", source="b")

    assert "closes a cycle: task-b -> task-a -> task-b" in result["error"], result
    assert not starts.exists()


def test_commits_come_to_the_checkout_of_the_host_where_the_task_was_dropped(
    machine: MakeMachine, tmp_path: Path
) -> None:
    """On the task's branch; there it lands, and in no other checkout."""
    defaults = {"workflow": "single", "isolation": "worktree", "landing": "merge"}
    front = machine("front", sources=(), shared=("app",), slots=0, defaults=defaults)
    back = machine("back", sources=(), shared=("app",), defaults=defaults)
    here = a_repository(front)
    subprocess.run(["git", "clone", "-q", str(here), str(back.workspace)], check=True)
    there = git(back.workspace, "rev-parse", "HEAD")
    front.start()
    back.start()
    front.drop_command("task-1", "echo made > work.txt", source="app")

    result = front.result("task-1", source="app")
    eventually(
        lambda: "is in main" in front.result("task-1", source="app")["landed"], what=f"it lands; {result}"
    )
    front.drop_command("task-2", "cat work.txt > second.txt", source="app")
    eventually(
        lambda: "is in main" in front.result("task-2", source="app")["landed"],
        what="the next one begins with what has landed",
    )
    files = git(here, "ls-tree", "--name-only", "main").splitlines()

    assert (result["outcome"], result["worker"], len(result["commits"])) == ("succeeded", "back", 1), result
    assert files == ["first.txt", "second.txt", "work.txt"]
    assert git(back.workspace, "rev-parse", "HEAD") == there
