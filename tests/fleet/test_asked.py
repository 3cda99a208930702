"""What a host asks of its database, counted in transactions: nothing of what only waits, and little of the rest."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Cursor, Database
from task_queue.fleet.intake import submit
from tests.fleet.inner_host import InnerHost

_TURN, _LOOK = 1, 2
_TASK = 15
"""From the drop of a task to its end, on one host, looks and signs of life included."""

Asked = Callable[[], int]


@pytest.fixture
def host(database: Database, tmp_path: Path) -> Iterator[InnerHost]:
    host = InnerHost(tmp_path / "one", "one", database)
    host.start()
    host.turn()
    host.work()
    yield host
    host.end()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """How many transactions there were since this was asked last."""
    count = 0
    transaction = Database.transaction

    @contextmanager
    def counted(self: Database) -> Generator[Cursor]:
        nonlocal count
        count += 1
        with transaction(self) as cursor:
            yield cursor

    def since_last() -> int:
        nonlocal count
        was, count = count, 0
        return was

    monkeypatch.setattr(Database, "transaction", counted)
    return since_last


def test_a_host_to_which_nothing_happens_asks_once_a_second(host: InnerHost, asked: Asked) -> None:
    host.turn()
    host.woken.clear()
    asked()
    host.turn()
    turn = asked()
    host.engine.survey()

    assert (turn, asked(), host.woken) == (_TURN, _LOOK, [])


def test_what_waits_is_not_asked_for_again(host: InnerHost, asked: Asked) -> None:
    """A look after a change asks as much with two hundred tasks as with two."""
    counts: list[int] = []
    for many in (2, 200):
        for number in range(many):
            host.drop(f"task-{many}-{number}")
        host.engine.touch()
        host.engine.survey()
        host.drop(f"task-new-{many}")
        host.engine.touch(f"task-new-{many}.md")
        asked()
        assert len(host.engine.survey().waiting) > many
        counts.append(asked())
    host.engine.survey()

    assert counts[0] == counts[1]
    assert asked() == _LOOK


def test_a_task_asks_for_little(host: InnerHost, asked: Asked) -> None:
    host.drop("task-a")
    asked()
    host.work()
    host.turn()
    host.work()

    assert host.state_of("task-a") is TaskState.COMPLETED
    assert asked() <= _TASK


def test_only_sources_that_a_change_concerns_are_looked_at(
    host: InnerHost, database: Database, tmp_path: Path
) -> None:
    host.another_source(tmp_path / "other", "other").survey()
    host.drop("task-then", "---\ndepends_on: task-first\n---\n# Do it")
    host.work()
    host.turn()

    def woken_by(source: str, name: str) -> list[list[str] | None]:
        host.woken.clear()
        submit(database, source, TaskId(name), b"# Do it")
        host.turn()
        return list(host.woken)

    assert woken_by("elsewhere", "task-apart") == []
    assert woken_by("other", "task-more") == [["other"]]
    assert woken_by("elsewhere", "task-first") == [["app"]]
