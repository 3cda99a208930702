"""Several hosts on one database: who may claim, who may end what, and what happens to those of a dead one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from task_queue.domain.attempt.results import bare_ending, result_of
from task_queue.domain.errors import ClaimHeld, ClaimLost, EngineUnavailable
from task_queue.domain.model import Claim, Journal
from task_queue.domain.peers import LEASE_S, Peer, PeerWatch
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.address import FleetAddress
from task_queue.fleet.database import Database
from task_queue.fleet.hosts import Lifeline
from task_queue.ports.leased_log import HeldFrames
from tests.fakes import FakeClock
from tests.fleet.cluster import Cluster
from tests.fleet.joining import joined
from tests.fleet.test_engine import SOURCE, FleetBench
from tests.store.contract import DONE, NOW
from tests.waiting import eventually

TASK = TaskId("task-a")


def outcome_of(bench: FleetBench, claim: Claim) -> None:
    """Settle it as its host would."""
    ending = bare_ending(claim, DONE, by="runner", now=NOW)
    result = result_of(
        claim, ending, Journal(claim.task_id), state=TaskState.COMPLETED, source=SOURCE, workspace=None
    )
    bench.engine.queue.settle(claim, result)


def test_many_claimers_get_each_task_once(address: FleetAddress, database: Database, tmp_path: Path) -> None:
    """Sixteen hosts claim as fast as they can; the source has as many slots."""
    benches = [
        FleetBench(Database(address), tmp_path, host=f"host-{number}", slots=16) for number in range(16)
    ]
    names = [benches[0].drop(f"task-{number}") for number in range(40)]
    got: list[tuple[TaskId, int]] = []
    begin = threading.Barrier(len(benches))

    def work(bench: FleetBench) -> None:
        begin.wait(30)
        for name in names:
            with suppress(ClaimHeld):
                claim = bench.engine.queue.claim(name, worker=bench.owner.host, now=NOW)
                got.append((claim.task_id, claim.attempt))
                outcome_of(bench, claim)

    threads = [threading.Thread(target=work, args=(bench,)) for bench in benches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    waiting = set(map(TaskId, benches[0].waiting()))
    for bench in benches:
        bench.database.close()

    assert max(Counter(got).values()) == 1
    assert {name for name, _ in got} == set(names) - waiting


def test_a_source_never_has_more_claims_than_slots(
    address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    """Whoever claims: the database arbitrates, not who looked first."""
    one = FleetBench(database, tmp_path, host="one", slots=1)
    other = FleetBench(Database(address), tmp_path, host="other", slots=1)
    one.drop("task-a")
    one.drop("task-b")
    claim = one.claim("task-a")

    with pytest.raises(ClaimHeld, match="as many claims as slots"):
        other.claim("task-b")
    outcome_of(one, claim)
    assert other.claim("task-b").task_id == "task-b"
    other.database.close()


def test_of_two_that_claim_at_once_the_second_is_refused(
    cluster: Cluster, address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    """Both saw the slot free: the claim of the first is not committed when the second begins."""
    bench = FleetBench(database, tmp_path, slots=1)
    bench.drop("task-a")
    bench.drop("task-b")
    refused: list[ClaimHeld] = []

    def claim() -> None:
        try:
            bench.claim("task-b")
        except ClaimHeld as error:
            refused.append(error)

    second = threading.Thread(target=claim)
    with psycopg.connect(cluster.url) as first:
        first.execute("SELECT set_config('search_path', %s, false)", [address.schema])
        first.execute(
            "UPDATE task SET state = 'running', record = name, claim = '', attempt = 1, slot = 1, host = 'x', life = 1 "
            "WHERE name = 'task-a'"
        )
        second.start()
        eventually(lambda: _waits_for_a_lock(cluster) or not second.is_alive())
    second.join(30)

    assert [str(each) for each in refused] == ["task-b: another host was first"]


def _waits_for_a_lock(cluster: Cluster) -> bool:
    with psycopg.connect(cluster.url) as connection:
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type = 'client backend'"
        return connection.execute(query).fetchone() is not None


def test_only_the_host_that_claimed_ends_it(
    address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    one = FleetBench(database, tmp_path, host="one")
    other = FleetBench(Database(address), tmp_path, host="other")
    one.drop(TASK)
    claim = one.claim(TASK)

    assert other.engine.queue.claims() == ()
    with pytest.raises(ClaimLost):
        outcome_of(other, claim)
    with pytest.raises(ClaimLost):
        other.engine.queue.release(claim, Journal(TASK))
    assert one.state_of(TASK) is TaskState.RUNNING
    outcome_of(one, claim)
    other.database.close()


def test_a_process_whose_host_joined_again_is_refused(
    address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    """All that it would still write; the new one goes on with what it had claimed."""
    old = FleetBench(database, tmp_path, host="one")
    old.drop(TASK)
    claim = old.claim(TASK)
    new = FleetBench(Database(address), tmp_path, host="one")
    ending = bare_ending(claim, DONE, by="runner", now=NOW)

    for late in (
        lambda: outcome_of(old, claim),
        lambda: old.engine.queue.release(claim, Journal(TASK)),
        lambda: old.engine.attempts.commit(claim, ending),
        lambda: old.engine.attempts.abandon(claim, now=NOW),
        lambda: old.engine.leased.add_frames(claim, 0, ["{}"], held=HeldFrames(), room=100),
    ):
        with pytest.raises(ClaimLost):
            late()
    for begin in (old.engine.open, lambda: old.claim("task-b")):
        with pytest.raises(EngineUnavailable, match="another process has joined"):
            begin()
    assert new.engine.queue.claims() == (claim,)
    outcome_of(new, claim)
    new.database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def turns(lifeline: Lifeline, clock: FakeClock, seconds: float) -> list[str]:
    """A turn each second; the hosts that were taken over from."""
    found: list[str] = []
    for _ in range(int(seconds)):
        found += [name for name, _ in lifeline.turn()]
        clock.advance(1)
    return found


def test_the_claims_of_a_dead_host_go_to_the_one_that_saw_it(
    address: FleetAddress, database: Database, tmp_path: Path, clock: FakeClock
) -> None:
    """And what the dead one says when it comes back does not count; its next life is as any other."""
    dead = FleetBench(database, tmp_path, host="dead")
    dead.drop(TASK)
    claim = dead.claim(TASK)
    lifeline = Lifeline(database, dead.owner, clock)
    lifeline.turn()
    other = FleetBench(Database(address), tmp_path, host="other")
    watching = Lifeline(other.database, other.owner, clock)

    assert turns(watching, clock, LEASE_S) == []
    assert turns(watching, clock, 1) == ["dead"]
    assert other.engine.queue.claims() == (claim,)
    with pytest.raises(ClaimLost):
        outcome_of(dead, claim)
    with pytest.raises(ClaimLost, match="taken for dead"):
        lifeline.turn()
    outcome_of(other, claim)
    assert joined(database, "dead").life == dead.owner.life + 2
    other.database.close()


def test_a_host_that_counts_at_the_last_moment_is_alive(
    address: FleetAddress,
    database: Database,
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the look of the other one and its taking over: that one does nothing."""
    slow = FleetBench(database, tmp_path, host="slow")
    slow.drop(TASK)
    claim = slow.claim(TASK)
    other = FleetBench(Database(address), tmp_path, host="other")
    watching = Lifeline(other.database, other.owner, clock)
    lifeline = Lifeline(database, slow.owner, clock)
    look = PeerWatch.look

    def look_late(watch: PeerWatch, beats: Mapping[Peer, int], now: float) -> tuple[Peer, ...]:
        lifeline.turn()
        return look(watch, beats, now)

    assert turns(watching, clock, LEASE_S) == []
    with monkeypatch.context() as patched:
        patched.setattr(
            PeerWatch, "look", lambda *args: look_late(*args) if args[0] is watching._watch else ()
        )
        assert watching.turn() == ()
    assert slow.engine.queue.claims() == (claim,)
    other.database.close()


def test_a_host_that_counts_is_alive(
    address: FleetAddress, database: Database, tmp_path: Path, clock: FakeClock
) -> None:
    slow = FleetBench(database, tmp_path, host="slow")
    slow.drop(TASK)
    claim = slow.claim(TASK)
    lifeline = Lifeline(database, slow.owner, clock)
    other = FleetBench(Database(address), tmp_path, host="other")
    watching = Lifeline(other.database, other.owner, clock)
    for _ in range(4):
        assert turns(watching, clock, LEASE_S - 2) == []
        lifeline.turn()

    assert not lifeline.must_stop()
    outcome_of(slow, claim)
    assert turns(watching, clock, LEASE_S + 2) == []  # nothing is claimed: there is nothing to take over
    other.database.close()


def test_an_outage_of_the_database_ends_no_claim(
    cluster: Cluster, address: FleetAddress, database: Database, tmp_path: Path, clock: FakeClock
) -> None:
    """It is down for longer than the lease; who was silent meanwhile has a whole lease after it."""
    cut_off = FleetBench(database, tmp_path, host="cut off")
    cut_off.drop(TASK)
    claim = cut_off.claim(TASK)
    lifeline = Lifeline(database, cut_off.owner, clock)
    lifeline.turn()
    other = FleetBench(Database(address), tmp_path, host="other")
    watching = Lifeline(other.database, other.owner, clock)
    assert turns(watching, clock, LEASE_S - 5) == []

    cluster.stop()
    try:
        for _ in range(15):
            with pytest.raises(EngineUnavailable, match="does not answer"):
                watching.turn()
            clock.advance(5)
    finally:
        cluster.start()

    assert lifeline.must_stop()
    assert turns(watching, clock, LEASE_S) == []
    assert cut_off.engine.queue.claims() == (claim,)
    outcome_of(cut_off, claim)
    other.database.close()
