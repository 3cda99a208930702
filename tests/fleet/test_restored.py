"""A copy by ``pg_dump``, restored into another cluster, is the queue as it was: nothing is missed or runs twice."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.address import FleetAddress, fleet_address
from task_queue.fleet.database import Database
from task_queue.fleet.feed import FeedPlace
from task_queue.fleet.intake import submit
from task_queue.fleet.restored import mend_numbers
from task_queue.fleet.schema import set_up
from task_queue.ports.fleet import SpentEntry
from tests.fleet.cluster import SOCKET, Cluster, own_cluster, program, why_no_cluster
from tests.fleet.following import changes_after
from tests.fleet.inner_host import InnerHost

_EARLIER = 2000
"""Transactions of the first cluster before: the second one begins lower."""


@dataclass
class Moving:
    """``way``: by which hosts reach the database, a folder with a link to the socket of one of two clusters."""

    old: Cluster
    new: Cluster
    way: Path

    @property
    def address(self) -> FleetAddress:
        return fleet_address(self.old.url_through(self.way))

    def lead_to(self, cluster: Cluster) -> None:
        (self.way / SOCKET).unlink(missing_ok=True)
        (self.way / SOCKET).symlink_to(cluster.folder / SOCKET)

    def copy(self) -> bytes:
        done = subprocess.run([program("pg_dump"), self.old.url], capture_output=True, check=True)
        return done.stdout

    def restore(self, copy: bytes) -> None:
        """In place of the first one, which is gone."""
        command = [program("psql"), "-q", "-1", "-v", "ON_ERROR_STOP=1", self.new.url]
        subprocess.run(command, input=copy, stdout=subprocess.DEVNULL, check=True)
        self.lead_to(self.new)
        with closing(psycopg.connect(self.old.url, autocommit=True)) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            )


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[Moving]:
    why = why_no_cluster()
    if why is not None:
        pytest.skip(why)
    with own_cluster() as old, own_cluster() as new:
        moving = Moving(old, new, tmp_path / "way")
        moving.way.mkdir()
        moving.lead_to(old)
        with closing(psycopg.connect(old.url, autocommit=True)) as connection:
            for _ in range(_EARLIER):
                connection.execute("SELECT pg_current_xact_id()")
        yield moving


def test_a_queue_goes_on_from_a_copy_in_another_cluster(moving: Moving, tmp_path: Path) -> None:
    """Also hosts that live through it, and were ahead of the copy."""
    database = Database(moving.address)
    set_up(database, None)
    one, two = (InnerHost(tmp_path / name, name, database) for name in ("one", "two"))
    one.start()
    one.turn()
    one.drop("task-a")
    one.work()
    one.new_spent = [SpentEntry(one.now(), "app", "task-a", 1, 0.5, 0.0)]
    one.turn()
    submit(database, "app", TaskId("task-b"), b"# Do it")
    told = changes_after(database, FeedPlace())
    copy = moving.copy()
    one.turn()
    moving.restore(copy)
    database.close()

    one.turn()
    with pytest.raises(EngineUnavailable, match="restored from an earlier copy"):
        one.engine.survey()
    was_held = one.is_held
    one.turn()
    for _ in range(3):
        one.work()
        one.turn()
    two.start()
    two.turn()
    two.turn()
    again = changes_after(database, FeedPlace())
    one.drop("task-c")
    one.work()

    assert (was_held, one.is_held) == (True, False)
    assert one.begun == ["task-a 1", "task-b 1", "task-c 1"]
    assert one.state_of("task-c") is TaskState.COMPLETED
    assert two.spent_elsewhere == [("one", 0.5)]
    assert [(each.name, each.state) for each in again[: len(told)]] == [
        (each.name, each.state) for each in told
    ]
    assert not mend_numbers(database)
    for each in (one, two):
        each.end()
    database.close()
