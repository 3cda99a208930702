"""What a person has seen needs no attention any more, and what came since does."""

from __future__ import annotations

from typing import Any

import pytest

from task_queue.app.acknowledging import acknowledge, acknowledge_all
from task_queue.app.listing import show_of
from task_queue.app.overview import status_of
from task_queue.domain.errors import TaskQueueError, UnknownTaskError
from task_queue.domain.task import TaskId
from tests.app.bench import A, Bench

B = TaskId("task-b")
AT_NIGHT, LATER = "2026-02-07T03:00:00+00:00", "2026-02-08T03:00:00+00:00"


def settled(bench: Bench, task_id: TaskId, *sentences: str, at: str = AT_NIGHT) -> None:
    bench.place("failed", task_id)
    write_result(bench, task_id, *sentences, at=at)


def write_result(bench: Bench, task_id: TaskId, *sentences: str, at: str = AT_NIGHT) -> None:
    needs = [{"kind": "failed", "sentence": each, "command": "x"} for each in sentences]
    result: dict[str, Any] = {"task_id": task_id, "completed_at": at, "attention": needs}
    bench.write(bench.layout().result(task_id), result)
    bench.write(bench.layout().needs(task_id), {})


def told(bench: Bench) -> list[str]:
    bench.daemon_runs()
    now = bench.anew().circumstances()
    return [each.sentence for each in status_of(now, config=bench.config).attention]


def test_what_is_acknowledged_is_shown_no_more(bench: Bench) -> None:
    """In status and in show, and nothing else is hidden with it."""
    settled(bench, A, "it failed", "files were left")
    settled(bench, B, "it failed")

    done = acknowledge(bench.anew(), [A])

    assert done.task_ids == (A,)
    assert told(bench) == ["task task-b: it failed"]
    shown = show_of(bench.anew().circumstances(), A)
    assert shown is not None
    assert shown.attention == ()
    assert bench.layout().result(A).exists()


def test_what_comes_later_is_shown(bench: Bench) -> None:
    """A sentence that the result did not have; and the same sentence, where a retry led to it."""
    settled(bench, A, "it failed")
    acknowledge(bench.anew(), [A])

    write_result(bench, A, "it failed", "it is not landed")
    assert told(bench) == ["task task-a: it is not landed"]
    write_result(bench, A, "it failed", at=LATER)
    assert told(bench) == ["task task-a: it failed"]


def test_all_of_a_source_or_of_all(bench: Bench) -> None:
    settled(bench, A, "it failed")
    settled(bench, B, "it failed")

    assert acknowledge_all(bench.anew(), "planned").task_ids == ()
    assert len(told(bench)) == 2
    assert acknowledge_all(bench.anew()).task_ids == (B, A)
    assert told(bench) == []
    assert acknowledge_all(bench.anew()).task_ids == ()


def test_more_than_are_named_are_counted_without_those_that_were_seen(bench: Bench) -> None:
    ids = [TaskId(f"task-f{number:02}") for number in range(25)]
    for task_id in ids:
        settled(bench, task_id, "it failed")
    acknowledge(bench.anew(), ids[:2])

    *_, more = told(bench)
    assert more == "3 more results of source 'ad-hoc' need attention"


@pytest.mark.parametrize("what", ["waiting", "unknown", "no result", "torn result"])
def test_nothing_is_kept_unless_all_can_be_acknowledged(bench: Bench, what: str) -> None:
    settled(bench, A, "it failed")
    if what == "waiting":
        bench.place("pending", B)
    elif what != "unknown":
        bench.place("failed", B)
    if what == "torn result":
        bench.layout().result(B).write_text("{")

    with pytest.raises(UnknownTaskError if what == "unknown" else TaskQueueError):
        acknowledge(bench.anew(), [A, B])

    assert "task task-a: it failed" in told(bench)


@pytest.mark.parametrize(
    "rubbish", ["{", "[]", '{"completed_at": 7, "sentences": "it failed"}', "folder", "link"]
)
def test_rubbish_in_the_place_of_an_acknowledgement_hides_nothing(bench: Bench, rubbish: str) -> None:
    """And the next acknowledgement takes its place."""
    settled(bench, A, "it failed")
    place = bench.layout().acknowledgement(A)
    place.parent.mkdir()
    if rubbish == "folder":
        place.mkdir()
    elif rubbish == "link":
        place.symlink_to(bench.layout().result(A))
    else:
        place.write_text(rubbish)

    assert told(bench) == ["task task-a: it failed"]
    acknowledge(bench.anew(), [A])
    assert told(bench) == []
