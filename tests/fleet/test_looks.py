"""How many rows a step visits, however many tasks there are: counted by the database, not by a clock."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from task_queue.domain.document.ordering import Ready
from task_queue.domain.task import TaskId
from task_queue.fleet.address import FleetAddress
from task_queue.fleet.database import Cursor, Database
from task_queue.fleet.intake import submit
from tests.fleet.test_engine import SOURCE, FleetBench
from tests.store.contract import NOW

_MANY = 20_000
_FEW = 60
_VISITED = (
    "SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid)), 0)::int "
    "FROM pg_class WHERE relnamespace = quote_ident(%s)::regnamespace"
)


class CountingDatabase(Database):
    """Counts the rows and index entries that were visited."""

    visited = 0

    @contextmanager
    def transaction(self) -> Generator[Cursor]:
        with super().transaction() as cursor:
            before = self._visited(cursor)
            yield cursor
            self.visited += self._visited(cursor) - before

    def _visited(self, cursor: Cursor) -> int:
        cursor.execute(_VISITED, [self.address.schema])
        ((visited,),) = cursor.fetchall()
        return int(visited)

    def visited_since_last(self) -> int:
        visited, self.visited = self.visited, 0
        return visited


@pytest.fixture
def counted(address: FleetAddress, database: Database) -> Iterator[CountingDatabase]:
    """Many tasks of twenty sources wait, as many have ended, and the planner knows nothing of it."""
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO task (source, name, record, state, document) SELECT "
            "CASE n %% 20 WHEN 0 THEN %(source)s ELSE 'other-' || n %% 20 END, 'task-' || n / 20, "
            "CASE WHEN n > %(many)s THEN 'task-' || n / 20 END, "
            "CASE WHEN n > %(many)s THEN 'completed' ELSE 'pending' END, "
            "convert_to(CASE WHEN n = 20 THEN E'---\\ndepends_on: task-1500\\n---\\n# It' ELSE '# It' END, 'UTF8') "
            "FROM generate_series(1, 2 * %(many)s) AS n",
            {"source": SOURCE, "many": _MANY},
        )
    counting = CountingDatabase(address)
    yield counting
    counting.close()


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_step_visits_the_rows_that_it_concerns(
    counted: CountingDatabase, tmp_path: Path, *, analyzed: bool
) -> None:
    """Look, claim, settle, look again: neither what else waits nor what has ended is gone through."""
    if analyzed:
        with counted.transaction() as cursor:
            cursor.execute("ANALYZE")
    bench = FleetBench(counted, tmp_path)
    assert len(bench.engine.survey().waiting) == _MANY // 20
    steps: dict[str, int] = {}

    def note(step: str) -> None:
        steps[step] = counted.visited_since_last()

    note("first look")
    bench.drop("task-new")
    note("drop")
    assert bench.engine.survey().dropped == ("task-new",)
    note("look")
    claim = bench.claim("task-new")
    note("claim")
    assert bench.engine.survey().locks == (".task-new.lock",)
    note("look at a claim")
    bench.settle(claim)
    note("settle")
    survey = bench.engine.survey()
    note("look at an end")
    assert (survey.locks, survey.dropped, len(survey.waiting)) == ((), (), _MANY // 20)
    bench.engine.state_of(claim.task_id)
    note("state")
    assert bench.drop("task-1500") == "task-1500"
    assert bench.claim("task-1500").task_id == "task-1500.2"
    note("claim of a name that was used")

    first = steps.pop("first look")
    assert not analyzed or first < 5 * _MANY // 20
    assert {step: count for step, count in steps.items() if count > _FEW} == {}


def test_a_look_misses_nothing_that_is_committed_late(
    address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    """Looks and changes that begin and end while a transaction is open do not make its own change an old one."""
    bench, late = FleetBench(database, tmp_path), Database(address)
    with late.transaction() as cursor:
        cursor.execute("INSERT INTO task (source, name, document) VALUES (%s, 'task-late', '# It')", [SOURCE])
        bench.drop("task-a")
        seen = [bench.waiting()]
        submit(database, "other", TaskId("task-b"), b"# It")
        seen.append(bench.waiting())
    late.close()

    assert [*seen, bench.waiting()] == [["task-a"], ["task-a"], ["task-a", "task-late"]]


def test_a_look_sees_that_a_row_is_gone(database: Database, tmp_path: Path) -> None:
    """A person took the document out of the folder that it came in by."""
    bench = FleetBench(database, tmp_path)
    bench.drop("task-a")
    bench.drop("task-b")
    before = bench.waiting()
    assert bench.value("DELETE FROM task WHERE name = 'task-a' RETURNING 1") == 1

    assert (before, bench.waiting()) == (["task-a", "task-b"], ["task-b"])


def test_a_look_sees_that_a_dependency_of_another_source_has_ended(
    database: Database, tmp_path: Path
) -> None:
    bench = FleetBench(database, tmp_path)
    other = FleetBench(database, tmp_path, host="two", source="other")
    other.drop("task-first")
    bench.drop("task-then", "---\ndepends_on: task-first\n---\n# It")
    first = other.claim("task-first")

    def next_one() -> object:
        return bench.engine.survey().waiting.next(now=NOW, state_of=other.state_of)

    before = next_one()
    other.settle(first)
    assert (before, type(next_one())) == (None, Ready)
