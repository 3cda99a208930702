from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from task_queue.fleet.address import FleetAddress, fleet_address
from task_queue.fleet.database import Database
from task_queue.fleet.schema import set_up
from tests.fleet.cluster import Cluster, own_cluster, why_no_cluster
from tests.fleet.machines import Machine, MakeMachine


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One for all tests of a session; each takes a schema of its own."""
    why = why_no_cluster()
    if why is not None:
        pytest.skip(why)
    with own_cluster() as cluster:
        yield cluster


@pytest.fixture
def address(cluster: Cluster) -> Iterator[FleetAddress]:
    """Of a schema that no other test has, and that is not made yet."""
    address = fleet_address(cluster.url, f"fleet_{uuid.uuid4().hex}")
    yield address
    with psycopg.connect(cluster.url) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(address.schema)))


@pytest.fixture
def database(address: FleetAddress) -> Iterator[Database]:
    """With its tables."""
    database = Database(address)
    set_up(database, None)
    yield database
    database.close()


@pytest.fixture
def machine(cluster: Cluster, database: Database, tmp_path: Path) -> Iterator[MakeMachine]:
    made: list[Machine] = []

    def make(name: str, **more: object) -> Machine:
        made.append(Machine(tmp_path / name, name, database, url=cluster.url, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()
