"""An import and an export are killed, or fail, at each of their calls to the file system and to the database."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from task_queue.app.fleet import FleetPlace
from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.task import TaskId
from task_queue.fleet.address import FleetAddress, fleet_address
from task_queue.fleet.database import Database
from task_queue.fleet.intake import submit
from task_queue.fleet.schema import set_up
from task_queue.platform import durable
from tests.fleet.cluster import Cluster, own_cluster
from tests.fleet.moving import MovingBench
from tests.fleet.test_engine import SOURCE
from tests.sampling import short_and_long
from tests.store.test_materialising_killed import killed_at

_FILES = (
    *((os, name) for name in ("fsync", "write", "utime")),
    *((Path, name) for name in ("rename", "unlink", "mkdir", "rmdir")),
    (durable, "_rename_no_replace"),
)
_DATABASE = (
    (psycopg.Connection, "transaction"),
    (psycopg.Cursor, "execute"),
    (psycopg.Transaction, "__exit__"),
)
_CALLS = (*_FILES, *_DATABASE)
"""A kill before a transaction's end undoes it; one after it is the same as one before the next call."""
NAMES = ["task-a", "task-b"]


@pytest.fixture
def bench(
    cluster: Cluster,
    address: FleetAddress,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int], MovingBench]:
    """A folder and an empty fleet for each point."""

    def made(point: int) -> MovingBench:
        with database.transaction() as cursor:
            cursor.execute("TRUNCATE task, move, attempt, frame, kept, event, gone")
        return MovingBench(
            tmp_path / str(point), database, FleetPlace(cluster.url, address.schema), monkeypatch
        )

    return made


def filled(bench: MovingBench, way: str) -> None:
    for name in NAMES:
        if way == "import":
            bench.write(name)
        else:
            submit(bench.database, SOURCE, TaskId(name), b"# Do it")


@pytest.mark.parametrize(
    ("way", "every"), short_and_long([("import", 5), ("export", 5)], [("import", 1), ("export", 1)])
)
def test_a_kill_at_any_call_loses_nothing_and_doubles_nothing(
    bench: Callable[[int], MovingBench], way: str, every: int
) -> None:
    """Whatever is carried out on either side before the move is finished, each task is carried out once."""
    point = 0
    while True:
        moving = bench(point)
        filled(moving, way)
        if not killed_at(point, partial(moving.move, way), calls=_CALLS):
            break
        between = len(moving.here) + len(moving.there)
        begun = moving.carry_out_everything() if point // every % 2 else []
        moving.move(way)

        assert between in {1, 2}, point
        assert sorted(begun + moving.here + moving.there) == NAMES, point
        assert (moving.there if way == "export" else moving.here) == [], point
        assert moving.under_way == [], point
        assert sorted(begun + moving.carry_out_everything()) == NAMES, point
        point += every
    assert (moving.there if way == "import" else moving.here) == NAMES
    assert point > 60


@pytest.mark.parametrize("every", short_and_long([7], [1]))
def test_a_kill_while_a_result_comes_home_is_made_up_for(
    bench: Callable[[int], MovingBench], every: int
) -> None:
    """The task never waits in the folder meanwhile, so it is not carried out again."""
    point = 0
    while True:
        moving = bench(point)
        submit(moving.database, SOURCE, TaskId("task-a"), b"# Do it")
        assert moving.carry_out_everything() == ["task-a"]
        if not killed_at(point, partial(moving.move, "export"), calls=_CALLS):
            break
        assert moving.carry_out_everything() == [], point
        moving.move("export")

        assert moving.folder.text_of("task-a") == "# Do it", point
        assert moving.folder.result("task-a") is not None
        assert moving.move("export").ended == ()
        assert moving.under_way == []
        point += every
    assert point > 40


@pytest.mark.parametrize(
    ("way", "every"), short_and_long([("import", 5), ("export", 5)], [("import", 1), ("export", 1)])
)
def test_an_error_at_any_call_is_said_and_made_up_for(
    bench: Callable[[int], MovingBench], way: str, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or a database that is gone: one error with what to do, and the way back finishes what was begun."""
    point = 0
    back = "export" if way == "import" else "import"
    while True:
        moving = bench(point)
        filled(moving, way)
        if not _fails_at(point, partial(moving.move, way), monkeypatch):
            break
        moving.move(back)

        assert (moving.here if way == "import" else moving.there) == NAMES, point
        assert moving.under_way == [], point
        point += every
    assert point > 60


def _fails_at(point: int, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether *work* made more calls than *point*; that one failed."""
    left = point

    def failing(call: Callable[..., Any], error: Exception) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                raise error
            return call(*args, **kwargs)

        return counted

    full = OSError(errno.ENOSPC, "No space left on device", "FILE")
    with monkeypatch.context() as patched:
        for owner, name in _FILES:
            patched.setattr(owner, name, failing(getattr(owner, name), full))
        for owner, name in _DATABASE[:2]:
            gone = psycopg.OperationalError("server closed the connection unexpectedly")
            patched.setattr(owner, name, failing(getattr(owner, name), gone))
        try:
            work()
        except EngineUnavailable as error:
            hint = error.hint
        else:
            hint = "none needed"
    assert hint
    return left < 0


def test_a_restart_of_the_database_in_the_middle_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: FleetAddress
) -> None:
    """Cut off as by a power cut, while a document is on its way: the error says so, and the next import goes on."""
    with own_cluster() as cluster:
        database = Database(fleet_address(cluster.url, address.schema))
        set_up(database, None)
        moving = MovingBench(tmp_path, database, FleetPlace(cluster.url, address.schema), monkeypatch)
        filled(moving, "import")
        move = durable.move

        def cut(source: Path, target: Path) -> None:
            move(source, target)
            if target.name == "task.md":
                cluster.stop()

        with monkeypatch.context() as patched:
            patched.setattr(durable, "move", cut)
            with pytest.raises(EngineUnavailable, match=r"does not answer|closed"):
                moving.move("import")
        cluster.start()
        done = moving.move("import")

        assert [each.task_id for each in done.finished] == ["task-a"]
        assert (moving.here, moving.there, moving.under_way) == ([], NAMES, [])
        database.close()
