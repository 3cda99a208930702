"""What a person does in the folder of one host holds wherever the task is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from task_queue.domain.model import Outcome, OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Database
from task_queue.fleet.roster import set_draining
from task_queue.fleet.rows import SourceRows
from tests.fleet.inner_host import InnerHost

TASK = TaskId("task-a")


class Pair(NamedTuple):
    """Tasks come in on *front*, and *back* carries them out."""

    front: InnerHost
    back: InnerHost


@pytest.fixture
def pair(database: Database, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(
        InnerHost(tmp_path / "front", "front", database, slots=0),
        InnerHost(tmp_path / "back", "back", database),
    )
    for host in pair:
        host.start()
        host.turn()
    pair.front.drop(TASK)
    pair.front.work()
    yield pair
    for host in pair:
        host.end()


def test_what_failed_elsewhere_is_tried_again(pair: Pair) -> None:
    front, back = pair
    back.outcome = Outcome(OutcomeKind.FAILED, "no")
    back.work()
    front.work()
    at_first = front.state_of(TASK)
    front.engine.requests.requeue(TASK)
    front.work()
    back.outcome = Outcome(OutcomeKind.SUCCEEDED, "yes")
    back.work()
    front.work()

    assert (at_first, front.state_of(TASK)) == (TaskState.FAILED, TaskState.COMPLETED)
    assert back.begun == ["task-a 1", "task-a 2"]


def test_what_waits_is_changed_or_taken_out(pair: Pair, database: Database) -> None:
    front, back = pair
    document = front.layout.pending / "task-a.md"
    document.write_text("# Another")
    front.work()
    with database.transaction() as cursor:
        cursor.execute("SELECT document FROM task")
        rows = cursor.fetchall()
    document.unlink()
    front.work()
    back.work()
    with database.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM task")
        left = cursor.fetchone()

    assert [bytes(row[0]) for row in rows] == [b"# Another"]
    assert (left, back.begun) == ((0,), [])


def test_what_waits_is_cancelled(pair: Pair) -> None:
    front, back = pair
    front.engine.requests.request_cancel(TASK)
    front.work()
    back.work()
    front.work()

    assert (front.state_of(TASK), back.begun) == (TaskState.FAILED, [])


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
def test_what_runs_elsewhere_is_cancelled(pair: Pair, how: str) -> None:
    front, back = pair
    back.work(until_begun=True)
    front.work()
    (claim,) = back.engine.queue.claims()
    at_first = back.engine.requests.cancel_requested(claim)
    if how == "cancelled":
        front.engine.requests.request_cancel(TASK)
    else:
        (front.layout.pending / "task-a.md").unlink()
    front.work()
    back.engine.survey()

    assert (at_first, back.engine.requests.cancel_requested(claim)) == (False, True)


def test_a_text_that_is_changed_while_it_runs_elsewhere_is_kept(pair: Pair) -> None:
    front, back = pair
    back.work(until_begun=True)
    front.work()
    (front.layout.pending / "task-a.md").write_text("# Newer")
    front.work()
    back.outcome = Outcome(OutcomeKind.SUCCEEDED, "yes")
    for _ in range(3):
        back.end()
        back.start()
        back.turn()
        back.work()
    front.work()

    assert front.state_of(TASK) is TaskState.COMPLETED
    assert (front.layout.ended(TaskState.COMPLETED) / "task-a.md").read_text() == "# Do it"
    assert [file.read_text() for file in front.layout.pending.glob("edited-*.md")] == ["# Newer"]


def test_commits_on_their_way_hold_the_source_only_while_they_can_arrive(
    pair: Pair, database: Database
) -> None:
    """Not those of a host that was fenced, and not those for one that is away."""
    back = pair.back
    rows = SourceRows(database, "app", "back")

    def is_free() -> bool:
        return rows.is_free(back.membership.life().life, slots=1, host_slots=4)

    rows.keep_bundle(TASK, b"commits")
    while_it_waits = is_free()
    with database.transaction() as cursor:
        cursor.execute("UPDATE task SET state = 'completed', result = '{}', revision = revision + 1")
    once_it_has_ended = is_free()
    with database.transaction() as cursor:
        cursor.execute(
            "UPDATE host SET heard_at = clock_timestamp() - interval '1 minute' WHERE name = 'front'"
        )
    while_front_is_away = is_free()
    with database.transaction() as cursor:
        cursor.execute("DELETE FROM task")

    assert (while_it_waits, once_it_has_ended, while_front_is_away) == (True, False, True)


def test_a_host_that_is_drained_ends_nothing_that_waits(pair: Pair, database: Database) -> None:
    """It would have to claim it; the source does not turn in a circle over that."""
    front, back = pair
    front.engine.requests.request_cancel(TASK)
    for host in pair:
        set_draining(database, host.name, draining=True)
    surveys = [host.engine.survey() for host in pair]
    set_draining(database, "back", draining=False)

    assert [each.cancelled for each in surveys] == [(), ()]
    assert back.engine.survey().cancelled == (TASK,)
