"""A host in its fleet, second by second: what it takes over, what it gives up, and what it knows of the account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from task_queue.domain.attempt.account import Account
from task_queue.domain.document.ordering import Ready
from task_queue.domain.errors import ClaimHeld, EngineUnavailable
from task_queue.domain.events import TaskSettled
from task_queue.domain.peers import LEASE_S
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Database
from task_queue.fleet.hosts import Lifeline
from task_queue.fleet.joined import JoinedEngine
from task_queue.ports.fleet import SpentEntry
from task_queue.store.folder.artifacts import Artifacts
from tests.fakes import FakeClock
from tests.fleet.cluster import Cluster
from tests.fleet.inner_host import InnerHost
from tests.store.contract import NOW

MakeHost = Callable[..., InnerHost]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def host(database: Database, tmp_path: Path, clock: FakeClock) -> Iterator[MakeHost]:
    made: list[InnerHost] = []

    def make(name: str, **more: object) -> InnerHost:
        made.append(InnerHost(tmp_path / name, name, database, clock=clock, **more))  # type: ignore[arg-type]
        made[-1].start()
        made[-1].turn()
        return made[-1]

    yield make
    for each in made:
        each.end()


def pass_by(clock: FakeClock, seconds: float, *hosts: InnerHost) -> None:
    for _ in range(int(seconds)):
        clock.advance(1)
        for host in hosts:
            host.turn()


def work_on(*hosts: InnerHost) -> None:
    """Until nothing is left to do for them."""
    for _ in range(4):
        for host in hosts:
            host.work()


def test_what_a_dead_host_ran_is_carried_out_by_another_and_shown(host: MakeHost, clock: FakeClock) -> None:
    front, one, two = host("front", slots=0), host("one"), host("two")
    front.drop("task-a")
    front.work()
    one.work(until_begun=True)
    front.work()
    shown = front.layout.lock("task-a.md").read_text()
    pass_by(clock, LEASE_S - 2, front, two)
    two.work()
    too_early = list(two.begun)
    pass_by(clock, 4, front, two)
    work_on(front, two)

    assert '"one"' in shown
    assert (too_early, one.begun, two.begun) == ([], ["task-a 1"], ["task-a 2"])
    assert front.state_of("task-a") is TaskState.COMPLETED
    assert '"worker": "two"' in front.layout.result("task-a").read_text()  # type: ignore[arg-type]
    assert [event.task_id for event in front.events if isinstance(event, TaskSettled)] == ["task-a"]


def test_a_host_that_was_taken_for_dead_gives_up_what_it_had(host: MakeHost, clock: FakeClock) -> None:
    """It ends what runs before it joins again, and nothing of that counts."""
    front, one, two = host("front", slots=0), host("one"), host("two")
    front.drop("task-a")
    front.work()
    one.work(until_begun=True)
    pass_by(clock, LEASE_S + 2, front, two)
    two.work()

    one.turn()
    was_held = one.is_held
    with pytest.raises(EngineUnavailable):
        one.engine.survey()
    one.turn()
    one.work()
    work_on(front, two)

    assert (was_held, one.is_held) == (True, False)
    assert one.settled == []
    assert [path.name for path in (one.layout.root.parent.parent / "fleet").glob("guests/*/logs/*")] == []
    assert (len(two.settled), front.state_of("task-a")) == (1, TaskState.COMPLETED)


def test_a_source_of_one_disk_waits_for_its_host(host: MakeHost, clock: FakeClock) -> None:
    one, two = host("one", repository=None), host("two", repository=None)
    one.drop("task-a")
    one.work(until_begun=True)
    pass_by(clock, LEASE_S + 2, two)
    two.work()
    waits = one.state_of("task-a")
    one.end()
    one.start()
    one.turn()
    work_on(one)

    assert (two.begun, waits) == ([], TaskState.RUNNING)
    assert one.state_of("task-a") is TaskState.COMPLETED


def test_a_host_that_is_not_heard_of_stops_before_others_take_over(
    host: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("one")

    def cut_off(_: Lifeline) -> None:
        raise EngineUnavailable("no answer")

    with monkeypatch.context() as cut:
        cut.setattr(Lifeline, "turn", cut_off)
        pass_by(clock, LEASE_S / 2 - 1, one)
        at_first = one.is_held
        pass_by(clock, 2, one)
        later = one.is_held
        with pytest.raises(EngineUnavailable, match="no answer"):
            one.engine.survey()
    one.turn()

    assert (at_first, later, one.is_held) == (False, True, False)


def test_a_limit_that_one_host_meets_holds_all(host: MakeHost) -> None:
    one, two = host("one"), host("two")
    limited = replace(Account(), paused_until=NOW + timedelta(hours=1), why="limit", since=NOW)
    one.known_account = limited
    one.turn()
    two.turn()
    on_two = two.known_account
    two.known_account = Account()
    two.turn()
    one.turn()

    assert (on_two, one.known_account) == (limited, Account())


def test_what_one_host_spends_counts_on_all_once(host: MakeHost) -> None:
    one, two = host("one"), host("two")
    entry = SpentEntry(one.now(), "app", "task-a", 1, 0.5, 0.0)
    for _ in range(2):  # a daemon that starts anew says it again
        one.new_spent = [entry]
        one.turn()
        two.turn()

    assert (one.spent_elsewhere, two.spent_elsewhere) == ([], [("one", 0.5)])


def test_a_second_machine_of_one_name_is_refused(host: MakeHost, database: Database, tmp_path: Path) -> None:
    """The first goes on; also over a restart of its own."""
    one = host("one")
    twin = InnerHost(tmp_path / "twin", "one", database, credential=one.credential)
    twin.start()
    twin.turn()
    with pytest.raises(EngineUnavailable, match="another machine is host 'one'"):
        twin.engine.survey()
    one.turn()
    one.end()
    one.start()
    one.turn()
    twin.end()

    one.work()
    assert not one.is_held


def test_files_that_came_with_a_task_are_where_it_is_carried_out(host: MakeHost, database: Database) -> None:
    front, one = host("front", slots=0), host("one")
    content = bytes(range(256)) * 40_000  # more than one piece
    here = Artifacts(front.layout, TaskId("task-a"))
    upload = here.begin("data.bin", offset=None, most_bytes=2**30)
    upload.write(content)
    upload.publish("application/octet-stream", sha256=None)
    upload.close()
    front.drop("task-a")
    front.work()
    one.work(until_begun=True)
    (claim,) = one.engine.queue.claims()
    folder = one.engine.attempts.place_of(claim).artifacts
    assert folder is not None
    there = (folder / "data.bin").read_bytes()
    one.work()
    work_on(one, front)
    with database.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM artifact_piece")
        left = cursor.fetchone()

    assert there == content
    assert (front.state_of("task-a"), left) == (TaskState.COMPLETED, (0,))


def test_a_host_never_has_more_tasks_than_slots(database: Database, tmp_path: Path) -> None:
    """However many of its sources claim at once."""
    host = InnerHost(tmp_path / "one", "one", database, source="s0", slots=1)
    host.start()
    host.turn()
    host.drop("task-of-s0")
    host.engine.open()
    engines = [
        host.engine,
        *(host.another_source(tmp_path / f"s{number}", f"s{number}") for number in range(1, 5)),
    ]
    found = [
        (engine, engine.survey().waiting.next(now=host.now(), state_of=lambda _: None)) for engine in engines
    ]
    refused: list[str] = []

    def claim(engine: JoinedEngine, task_id: TaskId) -> None:
        try:
            engine.queue.claim(task_id, worker="w", now=host.now())
        except ClaimHeld as error:
            refused.append(str(error))

    threads = [
        threading.Thread(target=claim, args=(engine, task.task.id))
        for engine, task in found
        if isinstance(task, Ready)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    running = [row for engine in engines for row in engine.queue.claims()]
    host.end()

    assert (len(threads), len(running), len(refused)) == (5, 1, 4)


def test_a_host_that_is_frozen_at_the_account_holds_no_other_up(
    host: MakeHost, database: Database, cluster: Cluster
) -> None:
    one = host("one")
    one.known_account = replace(Account(), utilization=0.5)
    one.turn()
    with psycopg.connect(cluster.url) as frozen:
        frozen.execute("SELECT set_config('search_path', %s, false)", [database.address.schema])
        frozen.execute("SELECT 1 FROM account FOR UPDATE")
        one.turn()
        with database.transaction() as cursor:
            cursor.execute("SELECT beats FROM host")
            beats = cursor.fetchone()

    assert (one.is_held, beats) == (False, (3,))
