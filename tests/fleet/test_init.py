"""``fleet init``: it makes the tables, brings them up to date, and says of everything else what to do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from task_queue.app.fleet import FleetPlace, init_fleet
from task_queue.app.installation import Installation
from task_queue.domain.errors import ConfigError, EngineUnavailable, TaskQueueError
from task_queue.fleet.address import FleetAddress, fleet_address
from task_queue.fleet.database import Database
from task_queue.fleet.errors import FleetError
from task_queue.fleet.schema import FleetSetup, latest_version, set_up, why_too_old
from tests.acceptance.rig import Rig
from tests.fleet.cluster import Cluster

OLDEST = Path(__file__).parents[1] / "data" / "fleet" / "schema-1.sql"


def made(address: FleetAddress, name: str | None = None) -> FleetSetup:
    database = Database(address)
    try:
        return set_up(database, name)
    finally:
        database.close()


def execute(cluster: Cluster, address: FleetAddress, *statements: str) -> None:
    """In the schema, which is made if it is not there."""
    with psycopg.connect(cluster.url) as connection:
        name = sql.Identifier(address.schema)
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        connection.execute(sql.SQL("SET search_path TO {}").format(name))
        for statement in statements:
            connection.execute(statement.encode())


def test_the_command_creates_a_fleet_and_repeats_safely(
    cluster: Cluster, address: FleetAddress, tmp_path: Path
) -> None:
    rig = Rig(tmp_path)
    command = ("fleet", "init", "--db", cluster.url, "--schema", address.schema, "--name", "night")
    first = rig.cli(*command, check=True).stdout
    again = json.loads(rig.cli(*command, "--json", check=True).stdout)

    assert "fleet 'night'" in first
    assert "created" in first
    assert (again["name"], again["version"], again["before"]) == ("night", latest_version(), latest_version())


def test_a_refusal_is_a_sentence_and_a_hint(cluster: Cluster, address: FleetAddress, tmp_path: Path) -> None:
    """With the exit code of a failure, and without the password."""
    made(address, "night")
    url = cluster.url.replace("fleet@", "fleet:opensesame@")
    done = Rig(tmp_path).cli("fleet", "init", "--db", url, "--schema", address.schema, "--name", "day")

    assert done.returncode == 1
    assert "belongs to the fleet 'night', not to 'day'" in done.stderr
    assert "--schema" in done.stderr
    assert "opensesame" not in done.stdout + done.stderr


def test_two_that_begin_at_once_make_one_fleet(address: FleetAddress) -> None:
    done: list[FleetSetup] = []
    threads = [threading.Thread(target=lambda: done.append(made(address))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(each.before for each in done) == [0, *[latest_version()] * 5]
    assert len({each.fleet.id for each in done}) == 1


def test_the_oldest_schema_is_upgraded(cluster: Cluster, address: FleetAddress) -> None:
    """And what is in it stays."""
    execute(cluster, address, OLDEST.read_text())
    done = made(address, "night")

    assert (done.before, done.fleet.version) == (1, latest_version())
    with psycopg.connect(cluster.url) as connection:
        hosts = sql.SQL("SELECT name, life, beats FROM {}").format(sql.Identifier(address.schema, "host"))
        assert connection.execute(hosts).fetchall() == [("builder", 2, 7)]


def test_an_upgraded_schema_is_as_a_new_one(cluster: Cluster, address: FleetAddress) -> None:
    """The same columns, constraints and indexes, by their names and definitions."""
    other = replace(address, schema=f"{address.schema}_new")
    execute(cluster, address, OLDEST.read_text())
    made(address)
    made(other)
    with psycopg.connect(cluster.url) as connection:
        described = [_described(connection, each.schema) for each in (address, other)]
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(other.schema)))

    assert described[0] == described[1]
    assert len(described[0]) > 10


def _described(connection: psycopg.Connection[tuple[object, ...]], schema: str) -> list[str]:
    rows = connection.execute(
        "SELECT relname || ' ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull "
        "FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = %(s)s::regnamespace AND attnum > 0 "
        "UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = %(s)s::regnamespace "
        "UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = %(s)s::text ORDER BY 1",
        {"s": schema},
    ).fetchall()
    return [str(row[0]).replace(f"{schema}.", "") for row in rows]


def test_a_second_fleet_in_one_schema_is_refused(address: FleetAddress) -> None:
    made(address, "night")

    with pytest.raises(FleetError, match="belongs to the fleet 'night', not to 'day'"):
        made(address, "day")
    assert made(address).fleet.name == "night"


def test_the_tables_of_a_later_release_are_left_alone(cluster: Cluster, address: FleetAddress) -> None:
    made(address)
    execute(cluster, address, "UPDATE fleet SET version = 999, written_by = '9.9'")

    with pytest.raises(FleetError, match=r"version 999, written by task-queue 9\.9") as refused:
        made(address)
    assert refused.value.hint == "upgrade task-queue on this host"


@pytest.mark.parametrize("table", ["orders (id int)", "fleet (id int)"])
def test_a_schema_of_something_else_is_left_alone(
    cluster: Cluster, address: FleetAddress, table: str
) -> None:
    execute(cluster, address, f"CREATE TABLE {table}")

    with pytest.raises(FleetError, match=f"holds something else \\('{table.split(maxsplit=1)[0]}'\\)"):
        made(address)


def _may_not_create_a_schema(cluster: Cluster, address: FleetAddress) -> None:
    execute(cluster, address, f'DROP SCHEMA "{address.schema}"')


def _may_not_use_the_schema(cluster: Cluster, address: FleetAddress) -> None:
    made(address)


def _may_not_create_tables_in_it(cluster: Cluster, address: FleetAddress) -> None:
    execute(cluster, address, f'GRANT USAGE ON SCHEMA "{address.schema}" TO guest')


def _may_not_change_its_tables(cluster: Cluster, address: FleetAddress) -> None:
    schema = f'"{address.schema}"'
    execute(
        cluster,
        address,
        OLDEST.read_text(),
        f"GRANT USAGE, CREATE ON SCHEMA {schema} TO guest",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO guest",
    )


@pytest.mark.parametrize(
    "lacking",
    [
        _may_not_create_a_schema,
        _may_not_use_the_schema,
        _may_not_create_tables_in_it,
        _may_not_change_its_tables,
    ],
)
def test_missing_rights_are_named_with_what_gives_them(
    cluster: Cluster, address: FleetAddress, lacking: Callable[[Cluster, FleetAddress], None]
) -> None:
    with psycopg.connect(cluster.url) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    lacking(cluster, address)
    guest = fleet_address(cluster.url_of("guest"), address.schema)
    try:
        with pytest.raises(
            FleetError, match=r"guest@.*(may not create|permission denied|must be owner)"
        ) as refused:
            made(guest)
    finally:
        with psycopg.connect(cluster.url) as connection:
            connection.execute("DROP OWNED BY guest")
            connection.execute("DROP ROLE guest")
    assert "GRANT" in str(refused.value.hint) or "AUTHORIZATION" in str(refused.value.hint)
    assert address.schema in str(refused.value.hint)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (("postgresql://", "postgres//"), ConfigError, "cannot be read"),
        (("host=", "host=/nowhere"), EngineUnavailable, "does not answer"),
        (("/postgres?", "/none?"), EngineUnavailable, 'database "none" does not exist'),
        (("fleet@", "nobody@"), EngineUnavailable, 'role "nobody" does not exist'),
    ],
    ids=["no URL", "no server", "no database", "no role"],
)
def test_a_url_that_leads_nowhere_says_why(
    cluster: Cluster, change: tuple[str, str], error: type[TaskQueueError], said: str
) -> None:
    with pytest.raises(error, match=said) as refused:
        made(fleet_address(cluster.url.replace(*change)))
    assert refused.value.hint


def test_a_server_that_is_too_old_is_refused() -> None:
    assert (why_too_old(150_018), why_too_old(130_000)) == (None, None)
    assert why_too_old(120_022) == "the server is PostgreSQL 12, and a fleet needs 13 or newer"


def test_an_address_shows_no_password() -> None:
    """Neither for people nor in a traceback."""
    address = fleet_address("postgresql://fleet:opensesame@db.example.org:5433/queue")

    assert str(address) == "fleet@db.example.org:5433/queue, schema task_queue"
    assert "opensesame" in address.conninfo
    assert "opensesame" not in repr(address)


@pytest.mark.parametrize("schema", ["", "pg_mine", "x" * 64, "a\0b"])
def test_a_name_that_no_schema_can_have_is_refused(schema: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a schema"):
        fleet_address("postgresql://db", schema)


def test_an_odd_name_of_a_schema_is_only_a_name(cluster: Cluster, address: FleetAddress) -> None:
    odd = replace(address, schema='a"; DROP SCHEMA b --')
    made(odd, "x'y")

    assert made(odd).fleet.name == "x'y"
    with psycopg.connect(cluster.url) as connection:
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(odd.schema)))


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("task_queue.app.fleet.find_spec", lambda _: None)

    with pytest.raises(ConfigError, match="psycopg is not installed") as refused:
        init_fleet(Installation(str(tmp_path / "config.json")), FleetPlace("postgresql://db", "s"), name=None)
    assert refused.value.hint == "install it: pip install 'task-queue[fleet]'"
