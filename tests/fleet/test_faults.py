"""What goes wrong between a host and the database of its fleet: each is said in bounded time, and nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import time
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from task_queue.app.fleet import FleetPlace, add_host, drain_host
from task_queue.app.installation import Installation
from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.peers import LEASE_S
from task_queue.fleet.address import FleetAddress, fleet_address
from task_queue.fleet.database import Database
from task_queue.fleet.errors import FleetError
from task_queue.fleet.hosts import Lifeline
from tests.fakes import FakeClock
from tests.fleet.cluster import Cluster
from tests.fleet.moving import MovingBench
from tests.fleet.test_engine import FleetBench


def test_a_server_that_never_answers_is_given_up() -> None:
    """One that takes the connection and says nothing, as behind a firewall."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://fleet@127.0.0.1:{silent.getsockname()[1]}/queue?connect_timeout=2"
        began = time.monotonic()
        with (
            pytest.raises(EngineUnavailable, match="does not answer") as refused,
            Database(fleet_address(url)).transaction(),
        ):
            pass

    assert time.monotonic() - began < 20
    assert "start the server" in str(refused.value.hint)
    assert "connect_timeout=5" in fleet_address("postgresql://db").conninfo


def test_a_server_that_freezes_is_given_up(address: FleetAddress, database: Database) -> None:
    """In the middle of its answer; once it goes on, so does the host."""
    hasty = Database(address, patience_s=0.5)
    frozen: list[int] = []

    def freeze() -> None:
        with hasty.transaction() as cursor:
            frozen.append(cursor.connection.info.backend_pid)
            os.kill(frozen[0], signal.SIGSTOP)
            cursor.execute("SELECT 1")

    try:
        with pytest.raises(EngineUnavailable, match="does not answer"):
            freeze()
    finally:
        os.kill(frozen[0], signal.SIGCONT)
    with hasty.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM fleet")
        assert cursor.fetchone() == (1,)
    hasty.close()


@pytest.fixture
def reader(cluster: Cluster, address: FleetAddress, database: Database) -> FleetPlace:
    """As a role that may read the tables and nothing more."""
    role, schema = sql.Identifier(f"reader_{address.schema}"), sql.Identifier(address.schema)
    with psycopg.connect(cluster.url) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
        connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(schema, role))
    return FleetPlace(cluster.url_of(f"reader_{address.schema}"), address.schema)


def test_a_role_that_may_only_read_changes_nothing(
    cluster: Cluster, reader: FleetPlace, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command says which table, and what gives the right; no document has left its folder."""
    moving = MovingBench(tmp_path, database, reader, monkeypatch)
    moving.write("task-a")
    fleet = FleetBench(database, tmp_path)
    fleet.drop("task-b")
    installation = Installation(str(moving.rig.config))
    for act in (
        lambda: moving.move("import"),
        lambda: moving.move("export"),
        lambda: add_host(installation, reader, "two", (), renew=False),
        lambda: drain_host(installation, reader, "one", draining=True),
    ):
        with pytest.raises(FleetError, match="permission denied for table") as refused:
            act()
        assert f'GRANT ALL ON ALL TABLES IN SCHEMA "{reader.schema}"' in str(refused.value.hint)

    assert (moving.here, moving.there, moving.under_way) == (["task-a"], ["task-b"], [])
    with psycopg.connect(cluster.url) as connection:
        role = sql.Identifier(f"reader_{reader.schema}")
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_wall_clocks_end_no_life_and_save_none(
    address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    """Hosts whose clocks are days apart, and jump, see each other live; one that is dead is dead in the usual time."""
    other = Database(address)
    clocks = (FakeClock(), FakeClock())
    hosts = [FleetBench(each, tmp_path, host=name) for each, name in ((database, "late"), (other, "early"))]
    lines = [Lifeline(host.database, host.owner, clock) for host, clock in zip(hosts, clocks, strict=True)]
    for host, name in zip(hosts, ("task-a", "task-b"), strict=True):
        host.claim(host.drop(name))
    clocks[0].time -= timedelta(days=3)
    for turn in range(2 * int(LEASE_S)):
        assert [line.turn() for line in lines] == [(), ()]
        for clock in clocks:
            clock.advance(1)
        clocks[1].time += timedelta(days=1 if turn % 2 else -1)
    ended = [lines[0].turn()]
    for _ in range(int(LEASE_S)):
        clocks[0].advance(1)
        clocks[0].time -= timedelta(days=1)
        ended.append(lines[0].turn())

    assert ended == [(), *[()] * (int(LEASE_S) - 1), (("early", 1),)]
    assert [claim.task_id for claim in hosts[0].engine.queue.claims()] == ["task-a", "task-b"]
    other.close()
