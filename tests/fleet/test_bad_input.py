"""What a host cannot read, have or write: a clear error, nothing lost, and the rest of its source goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.errors import ClaimHeld, EngineUnavailable, GitError
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Database
from task_queue.fleet.left_to_others import TRIED_AGAIN_AFTER_S
from task_queue.ports.fleet import WorkBase
from task_queue.store.folder.artifacts import Artifacts
from tests.fakes import FakeClock
from tests.fleet.inner_host import InnerHost, NoCheckout
from tests.sampling import short_and_long

HEAD = "0123456789abcdef"
MakeHost = Callable[..., InnerHost]


class Checkout(NoCheckout):
    """Of a repository that begins with *head*; what others begin with is missing here while ``lacks`` says why."""

    def __init__(self, head: str = HEAD) -> None:
        self._head = head
        self.lacks = ""
        self.asked = 0

    def base(self, before: WorkBase | None) -> WorkBase:  # type: ignore[override]
        return before or WorkBase(self._head, self._head, None)

    def receive_base(self, base: WorkBase) -> None:  # noqa: ARG002 - the port's signature
        self.asked += 1
        if self.lacks:
            raise GitError(self.lacks)


@pytest.fixture
def host(database: Database, tmp_path: Path) -> Iterator[MakeHost]:
    with ExitStack() as stack:

        def make(name: str, **more: Any) -> InnerHost:
            made = InnerHost(tmp_path / name, name, database, **more)
            made.start()
            stack.callback(made.end)
            made.turn()
            return made

        yield make


def works(*hosts: InnerHost, times: int = 4) -> None:
    for _ in range(times):
        for each in hosts:
            each.turn()
            with suppress(ClaimHeld):
                each.work()


def is_refused_a_write(point: int, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether *work* writes more often than *point*: from then on the disk is full, and the error says so."""
    left, is_full = point, False

    def refusing(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **more: Any) -> Any:
            nonlocal left, is_full
            left -= 1
            if left < 0:
                is_full = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "FILE")
            return call(*given, **more)

        return counted

    with monkeypatch.context() as patched:
        for owner, name in ((os, "write"), (os, "fsync"), (Path, "mkdir")):
            patched.setattr(owner, name, refusing(getattr(owner, name)))
        said = "no space, and nothing was written"
        try:
            work()
        except (EngineUnavailable, OSError) as error:
            said = str(error)
    assert "no space" in said.lower(), point
    return is_full


@pytest.mark.parametrize("every", short_and_long([7], [1]))
def test_a_full_disk_where_a_task_came_in_loses_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """While it is brought in, while it is shown as running, and while its result is written."""
    point = 0
    for point in count(0, every):
        with ExitStack() as stack:
            front, back = (
                InnerHost(
                    tmp_path / f"{name}-{point}", f"{name}-{point}", database, source=f"s{point}", slots=slots
                )
                for name, slots in (("front", 0), ("back", 4))
            )
            for each in (front, back):
                each.start()
                stack.callback(each.end)
                each.turn()
            works(front, back, times=1)
            front.drop("task-a")
            refused = [is_refused_a_write(point, front.work, monkeypatch)]
            front.work()
            back.work(until_begun=True)  # its next look takes that for a kill
            refused.append(is_refused_a_write(point, front.work, monkeypatch))
            back.work()
            works(back)
            refused.append(is_refused_a_write(point, front.work, monkeypatch))
            works(front, back)

            assert (back.begun, back.ended) == (["task-a 1", "task-a 2"], ["task-a 2"]), point
            assert front.layout.result(TaskId("task-a")).exists(), point
            assert [path.name for path in front.layout.pending.iterdir()] == [], point
        if not any(refused):
            break
    assert point > 10


def test_a_host_without_the_commits_leaves_the_task_to_others(host: MakeHost) -> None:
    """And says so; what it can carry out of the source goes on, and the missing commits are asked for seldom."""
    clock, lacking = FakeClock(), Checkout()
    lacking.lacks = "Repository lacks these prerequisite commits"
    front = host("front", slots=0, checkout=Checkout())
    other = host("other", checkout=lacking, clock=clock)
    for name in ("task-a", "task-b"):
        front.drop(name)
    front.work()
    other.drop("task-z")
    works(other)
    ((document, why), *more) = other.engine.survey().ignored
    at_first = list(other.begun)
    lacking.lacks = ""
    works(other)
    too_soon = list(other.begun)
    clock.advance(TRIED_AGAIN_AFTER_S)
    works(other, front)

    assert (document, [each for each, _ in more]) == ("task-a.md", ["task-b.md"])
    assert f"it begins with {HEAD[:12]} of host front, which cannot be had here: Repository lacks" in why
    assert "bring the checkout here up to date" in why
    assert at_first == too_soon == ["task-z 1"]
    assert other.begun[1:] == ["task-a 1", "task-b 1"]
    assert [front.state_of(name) for name in ("task-a", "task-b")] == [TaskState.COMPLETED] * 2
    assert lacking.asked == 3


def test_what_is_to_be_ended_needs_no_commits(host: MakeHost) -> None:
    lacking = Checkout()
    lacking.lacks = "Repository lacks these prerequisite commits"
    front, other = host("front", slots=0, checkout=Checkout()), host("other", checkout=lacking)
    front.drop("task-a")
    front.work()
    front.engine.requests.request_cancel(TaskId("task-a"))
    works(front, other)

    assert front.state_of("task-a") is TaskState.FAILED


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM artifact_piece WHERE place > 0",
        "UPDATE artifact_piece SET content = 'other' WHERE place = 0",
        "UPDATE artifact SET sha256 = 'no such'",
    ],
)
def test_a_file_that_is_cut_off_in_the_database_ends_its_task_alone(
    host: MakeHost, database: Database, damage: str
) -> None:
    """With an outcome that says what to do; tried again, the task has its file."""
    front, back = host("front", slots=0), host("back")
    upload = Artifacts(front.layout, TaskId("task-a")).begin("data.bin", offset=None, most_bytes=2**30)
    upload.write(bytes(5 * 2**20))
    upload.publish("application/octet-stream", sha256=None)
    upload.close()
    for name in ("task-a", "task-b"):
        front.drop(name)
    front.work()
    with database.transaction() as cursor:
        cursor.execute(damage.encode())
    works(back, front)
    (ended,) = [each for each in back.settled if each.task_id == "task-a"]
    at_first = [front.state_of(name) for name in ("task-a", "task-b")]
    front.engine.requests.requeue(TaskId("task-a"))
    works(front, back)

    assert ended.outcome.value == "rejected"
    assert "data.bin, which came with it, is cut off or damaged" in str(ended.error)
    assert at_first == [TaskState.FAILED, TaskState.COMPLETED]
    assert front.state_of("task-a") is TaskState.COMPLETED
