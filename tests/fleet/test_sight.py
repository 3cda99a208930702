"""What a host knows of the rest of its fleet, and shows: what came in elsewhere, and where it is carried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from task_queue.domain.task import TaskId
from task_queue.fleet.database import Cursor, Database
from task_queue.fleet.intake import submit
from task_queue.fleet.sight import SightKeeper
from task_queue.platform.clock import SystemClock
from tests.fleet.inner_host import InnerHost
from tests.waiting import eventually


class Sight:
    """The keeper of host ``one``; ``seen`` is what its file says after another look."""

    def __init__(self, database: Database, path: Path) -> None:
        self.database, self.path = database, path
        self.keeper = SightKeeper(path, "one", SystemClock())

    def look(self) -> None:
        with self.database.transaction() as cursor:
            self.keeper.read(cursor)
        self.keeper.write()

    def seen(self) -> dict[str, Any]:
        self.look()
        content: dict[str, Any] = json.loads(self.path.read_text())
        return content

    def names(self) -> list[str]:
        return [task["task_id"] for task in self.seen()["tasks"]]

    def execute(self, statement: str) -> None:
        with self.database.transaction() as cursor:
            cursor.execute(statement.encode())


@pytest.fixture
def sight(database: Database, tmp_path: Path) -> Sight:
    return Sight(database, tmp_path / "sight.json")


@pytest.fixture
def host(database: Database, tmp_path: Path) -> InnerHost:
    """``other``, which has joined."""
    host = InnerHost(tmp_path / "other", "other", database)
    host.start()
    host.turn()
    return host


def test_a_task_of_another_host_is_seen_from_its_drop_to_its_end(sight: Sight, host: InnerHost) -> None:
    host.drop("task-1", "---\ntitle: Sauber machen überall\n---\nDo it")
    host.engine.open()
    host.engine.touch()
    host.engine.survey()
    waits = sight.seen()["tasks"][0]
    host.work(until_begun=True)
    eventually(lambda: sight.seen()["tasks"][0]["state"] == "running", what="its start is seen")
    runs = sight.seen()["tasks"][0]
    host.work()
    eventually(lambda: not any(each["state"] == "running" for each in sight.seen()["tasks"]))
    host.work()
    eventually(lambda: sight.seen()["tasks"][0]["state"] == "completed", what="its end is seen")
    ended = sight.seen()["tasks"][0]
    host.end()

    title = "Sauber machen überall"
    assert (waits["state"], waits["title"], waits["came_in_at"], waits["host"]) == (
        "pending",
        title,
        "other",
        None,
    )
    assert (runs["title"], runs["host"], runs["attempt"]) == (title, "other", 1)
    assert (ended["outcome"], ended["source"], ended["came_in_at"]) == ("succeeded", "app", "other")
    assert waits["since"] < runs["since"] < ended["since"]


def test_what_came_in_here_is_not_among_it(database: Database, sight: Sight, host: InnerHost) -> None:
    sight.keeper = SightKeeper(sight.path, "other", SystemClock())
    host.drop("task-own")
    host.engine.open()
    host.engine.touch()
    host.engine.survey()
    submit(database, "app", TaskId("task-imported"), b"# It")
    seen = sight.seen()
    host.end()

    assert [(task["task_id"], task["came_in_at"]) for task in seen["tasks"]] == [("task-imported", None)]
    assert [(each["name"], each["state"]) for each in seen["hosts"]] == [("other", "up")]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("UPDATE task SET document = '# Other', revision = revision + 1", ["Other"]),
        ("DELETE FROM task", []),
    ],
)
def test_what_is_changed_or_taken_out_while_it_waits_is_seen(
    database: Database, sight: Sight, change: str, wanted: list[str]
) -> None:
    """Neither is a change of its state, so the feed says nothing of it."""
    submit(database, "app", TaskId("task-1"), b"# It")
    assert sight.names() == ["task-1"]

    sight.execute(change)

    eventually(lambda: [task["title"] for task in sight.seen()["tasks"]] == wanted, timeout=20)


def test_one_that_ended_long_ago_is_left_out(database: Database, sight: Sight) -> None:
    submit(database, "app", TaskId("task-1"), b"# It")
    submit(database, "app", TaskId("task-2"), b"# It")
    sight.execute("UPDATE task SET state = 'completed', record = name")
    before = sight.names()
    sight.execute("UPDATE task SET changed_at = now() - interval '25 hours' WHERE name = 'task-1'")

    assert sorted(before) == ["task-1", "task-2"]
    eventually(lambda: sight.names() == ["task-2"], timeout=20)


def test_of_many_the_first_are_named_and_the_others_counted(sight: Sight) -> None:
    sight.execute(
        "INSERT INTO task (source, name, document, intake) "
        "SELECT 'app', 'task-' || lpad(n::text, 4, '0'), '# It', 'other' FROM generate_series(1, 700) AS n"
    )
    seen = sight.seen()

    assert (len(seen["tasks"]), seen["more"]) == (200, 500)
    assert seen["tasks"][0]["task_id"] == "task-0001"


def test_nothing_is_asked_for_nor_written_while_nothing_happens(
    database: Database, sight: Sight, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(database, "app", TaskId("task-1"), b"# It")
    eventually(lambda: sight.names() == ["task-1"])
    sight.look()  # what was under way at the last one
    written = sight.path.stat()
    asked: list[object] = []
    execute = psycopg.Cursor.execute

    def noted(self: Cursor, query: Any, *more: Any) -> Cursor:
        asked.append(query)
        return execute(self, query, *more)

    with database.transaction() as cursor:
        monkeypatch.setattr(psycopg.Cursor, "execute", noted)
        sight.keeper.read(cursor)
    sight.keeper.write()

    assert len(asked) == 1
    assert sight.path.stat().st_ino == written.st_ino
    assert sight.path.stat().st_mode & 0o777 == 0o600


def test_a_document_that_is_no_task_and_a_long_one_have_a_place_too(database: Database, sight: Sight) -> None:
    """Of a long one the first part is read, which may end within a character."""
    submit(database, "app", TaskId("task-1"), b"\xff\x00")
    submit(database, "app", TaskId("task-2"), b"# Long\n\nx" + "ü".encode() * 40_000)

    assert [task["title"] for task in sight.seen()["tasks"]] == ["", "Long"]
