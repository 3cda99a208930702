"""``fleet host add``, ``status``, ``drain`` and ``resume``: what a person sees of the hosts, and decides about them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from task_queue.app.fleet import FleetPlace, add_host, drain_host, fleet_status, prune_fleet
from task_queue.app.fleet_moves import export_tasks, import_tasks
from task_queue.app.installation import Installation
from task_queue.domain.errors import ClaimHeld, ClaimLost, TaskQueueError
from task_queue.domain.task import TaskId
from task_queue.fleet.address import FleetAddress
from task_queue.fleet.database import Database
from task_queue.fleet.errors import FleetError
from task_queue.fleet.held import demand_taking
from task_queue.fleet.hosts import Lifeline, join
from task_queue.fleet.roster import UnknownHostError, set_draining
from tests.acceptance.rig import Rig
from tests.fakes import FakeClock
from tests.fleet.cluster import Cluster
from tests.fleet.joining import joined
from tests.fleet.test_engine import FleetBench
from tests.waiting import eventually


@pytest.fixture
def place(cluster: Cluster, address: FleetAddress) -> FleetPlace:
    return FleetPlace(cluster.url, address.schema)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(str(tmp_path / "config.json"))


def execute(database: Database, statement: str) -> None:
    with database.transaction() as cursor:
        cursor.execute(statement.encode())


def test_a_host_joins_with_the_credential_that_was_shown(
    database: Database, place: FleetPlace, tmp_path: Path
) -> None:
    """Only its hash is kept; a new one takes the place of the one before, and another name is not served by it."""
    rig, where = Rig(tmp_path), ("--db", place.url, "--schema", place.schema)
    first = rig.cli("fleet", "host", "add", "builder", *where, "--capabilities", "gpu, docker", check=True)
    refused = rig.cli("fleet", "host", "add", "builder", *where)
    shown = first.stdout.strip()
    with database.transaction() as cursor:
        cursor.execute("SELECT host::text FROM host")
        ((kept,),) = cursor.fetchall()

    assert shown.startswith("tqh_")
    assert shown not in kept
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is a host 'builder' already" in refused.stderr
    assert "--renew" in refused.stderr
    assert join(database, "builder", shown).life == 1
    again = json.loads(
        rig.cli("fleet", "host", "add", "builder", *where, "--renew", "--json", check=True).stdout
    )
    assert (again["renewed"], again["capabilities"]) == (True, [])
    assert join(database, "builder", again["credential"]).life == 2
    for name, credential in (("builder", shown), ("builder", ""), ("other", again["credential"])):
        with pytest.raises(FleetError, match=r"no host .* with that credential"):
            join(database, name, credential)


def test_a_host_whose_credential_was_revoked_is_out_at_once(
    address: FleetAddress, database: Database, place: FleetPlace, tmp_path: Path
) -> None:
    """Its process learns it at its next sign of life, and what it ran is another's; with a new one it is in again."""
    rig, where = Rig(tmp_path), ("--db", place.url, "--schema", place.schema)
    out = FleetBench(database, tmp_path, host="lost")
    credential = rig.json("fleet", "host", "add", "lost", *where, "--renew")["credential"]
    out.drop("task-a")
    claim = out.claim("task-a")
    lifeline = Lifeline(database, out.owner, FakeClock())
    lifeline.turn()
    said = rig.cli("fleet", "host", "revoke", "lost", *where, check=True)
    other = FleetBench(Database(address), tmp_path, host="other")

    assert "on it ran: s/task-a" in said.stdout
    with pytest.raises(ClaimLost):
        lifeline.turn()
    with pytest.raises(ClaimLost):
        out.settle(claim)
    with pytest.raises(FleetError, match="no host 'lost' with that credential"):
        join(database, "lost", credential)
    Lifeline(other.database, other.owner, FakeClock()).turn()
    assert [each.task_id for each in other.engine.queue.claims()] == ["task-a"]
    assert join(
        database, "lost", rig.json("fleet", "host", "add", "lost", *where, "--renew")["credential"]
    ).life
    assert rig.cli("fleet", "host", "revoke", "nobody", *where).returncode == 1
    other.database.close()


def test_a_host_of_an_earlier_release_joins_once_it_has_a_credential(
    database: Database, place: FleetPlace, installation: Installation
) -> None:
    execute(database, "INSERT INTO host (name, life) VALUES ('old', 4)")
    with pytest.raises(FleetError):
        join(database, "old", "")
    added = add_host(installation, place, "old", (), renew=True)

    assert join(database, "old", added.credential).life == 5


@pytest.mark.parametrize(
    ("name", "capabilities", "says"),
    [("Two words", (), "cannot be the name of a host"), ("one", ("--no",), "is not a valid tag")],
)
def test_names_that_cannot_be_used_are_refused(
    installation: Installation, place: FleetPlace, name: str, capabilities: tuple[str, ...], says: str
) -> None:
    with pytest.raises(TaskQueueError, match=says):
        add_host(installation, place, name, capabilities, renew=False)


def test_the_status_shows_hosts_and_what_runs_on_them(
    database: Database, place: FleetPlace, installation: Installation, tmp_path: Path
) -> None:
    bench = FleetBench(database, tmp_path, host="busy")
    for name in ("task-a", "task-b", "task-c"):
        bench.drop(name)
    bench.claim("task-a")
    joined(database, "gone")
    execute(database, "UPDATE host SET heard_at = now() - interval '95 s' WHERE name = 'gone'")
    add_host(installation, place, "new", ("gpu",), renew=False)
    view = fleet_status(place)
    shown = Rig(tmp_path).cli("fleet", "status", "--db", place.url, "--schema", place.schema, check=True)

    assert [(each.name, each.state, each.draining) for each in view.hosts] == [
        ("busy", "up", False),
        ("gone", "silent", False),
        ("new", "new", False),
    ]
    assert [(each.source, each.task_id, each.attempt) for each in view.hosts[0].running] == [
        ("s", "task-a", 1)
    ]
    assert [(each.source, each.waiting, each.running) for each in view.sources] == [("s", 2, 1)]
    rows = {words[0]: words for words in map(str.split, shown.stdout.splitlines()) if words}
    assert rows["busy"][-1] == "s/task-a"
    assert " ".join(rows["gone"][1:5]) == "silent 1 min ago"
    assert rows["new"][1:] == ["new", "never", "gpu", "-"]
    assert rows["s"] == ["s", "2", "1"]


def test_a_drained_host_claims_nothing_and_ends_what_it_has(
    database: Database, place: FleetPlace, installation: Installation, tmp_path: Path
) -> None:
    """Also after it joined again, until it is let go on."""
    bench = FleetBench(database, tmp_path, host="one")
    bench.drop("task-a")
    bench.drop("task-b")
    claim = bench.claim("task-a")
    draining = drain_host(installation, place, "one", draining=True)
    with pytest.raises(ClaimHeld, match="drained"):
        bench.claim("task-b")
    bench.settle(claim)
    drained = fleet_status(place).hosts[0]
    again = FleetBench(database, tmp_path, host="one")
    with pytest.raises(ClaimHeld, match="drained"):
        again.claim("task-b")
    resumed = drain_host(installation, place, "one", draining=False)

    assert [(each.draining, each.drained) for each in (draining, drained, resumed)] == [
        (True, False),
        (True, True),
        (False, False),
    ]
    assert again.claim("task-b").task_id == TaskId("task-b")


def test_the_commands_say_what_they_did(database: Database, place: FleetPlace, tmp_path: Path) -> None:
    rig, where = Rig(tmp_path), ("--db", place.url, "--schema", place.schema)
    bench = FleetBench(database, tmp_path, host="one")
    bench.drop("task-a")
    bench.claim("task-a")

    assert "on it runs: s/task-a" in rig.cli("fleet", "drain", "one", *where, check=True).stdout
    assert (
        json.loads(rig.cli("fleet", "drain", "one", *where, "--json", check=True).stdout)["draining"] is True
    )
    assert "may begin tasks again" in rig.cli("fleet", "resume", "one", *where, check=True).stdout
    unknown = rig.cli("fleet", "drain", "two", *where)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "there is no host 'two'" in unknown.stderr


def test_a_drain_waits_for_the_claim_that_is_under_way(
    address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    """So that nothing begins once it is said to be drained."""
    owner, other = joined(database, "one"), Database(address)
    drain = threading.Thread(target=lambda: set_draining(other, "one", draining=True))
    with database.transaction() as cursor:
        demand_taking(cursor, owner)
        drain.start()

        def waits() -> bool:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
            return cursor.fetchone() != (0,)

        eventually(waits)
    drain.join(30)
    with database.transaction() as cursor, pytest.raises(ClaimHeld):
        demand_taking(cursor, owner)
    other.close()


@pytest.mark.parametrize(
    ("spoiled", "says"),
    [
        ("DROP TABLE fleet CASCADE", "there is no fleet"),
        ("UPDATE fleet SET version = 3", "have version 3, and this task-queue uses"),
        ("UPDATE fleet SET version = 99, written_by = '9.9'", "written by task-queue 9.9"),
    ],
)
def test_tables_that_this_release_does_not_use_are_left_alone(
    database: Database, place: FleetPlace, tmp_path: Path, spoiled: str, says: str
) -> None:
    execute(database, spoiled)
    installation = Installation(str(Rig(tmp_path).config))
    for act in (
        lambda: add_host(installation, place, "one", (), renew=False),
        lambda: drain_host(installation, place, "one", draining=True),
        lambda: fleet_status(place),
        lambda: prune_fleet(installation, place, "90d", dry_run=True),
        lambda: import_tasks(installation, place, source=None),
        lambda: export_tasks(installation, place, source=None),
    ):
        with pytest.raises(FleetError, match=says) as refused:
            act()
        assert refused.value.hint


def test_a_host_that_is_not_there_is_named(
    database: Database, place: FleetPlace, installation: Installation
) -> None:
    with pytest.raises(UnknownHostError, match="there is no host 'one'"):
        drain_host(installation, place, "one", draining=True)
    with pytest.raises(UnknownHostError):
        add_host(installation, place, "one", (), renew=True)
