"""The claims of a fleet keep the contract of all claims: here one host hands out what is in PostgreSQL."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from task_queue.agents.project_settings import SettingsTrust
from task_queue.config import schema
from task_queue.config.locations import locate
from task_queue.config.source_settings import Source
from task_queue.daemon.admission.bounds import bounds_of
from task_queue.daemon.admission.configured import limits_for
from task_queue.daemon.admission.running import RunningPlaces, RunningTasks
from task_queue.daemon.context import SourceContext, Timing
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.dispatch.accounts import WorkerAccounts
from task_queue.dispatch.claims import LeasedClaims
from task_queue.dispatch.leased_source import LeasedSource, OpenClaim
from task_queue.dispatch.out_of_sight import OrdersOfWorkers, RunnersOutOfSight
from task_queue.dispatch.rules import ConfiguredRules
from task_queue.domain.errors import ClaimLost
from task_queue.domain.peers import LEASE_S
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.address import FleetAddress
from task_queue.fleet.database import Database
from task_queue.fleet.engine import FleetEngine
from task_queue.fleet.hosts import Lifeline
from task_queue.fleet.intake import submit
from task_queue.fleet.roster import set_draining
from task_queue.ports.claims import Claims
from task_queue.store.event_log import EventLog
from task_queue.store.keyed_tasks import KeyedTasks
from tests.dispatch.claims_contract import LEASE_S as CLAIM_LEASE_S
from tests.dispatch.claims_contract import ClaimsBench, ClaimsContract
from tests.dispatch.in_process import InProcessBench
from tests.fleet.joining import joined


class FleetClaimsBench(InProcessBench):
    def __init__(self, home: Path, database: Database, host: str = "server") -> None:
        super().__init__(home)
        self.database, self.host = database, host
        self.engines: dict[str, FleetEngine] = {}

    def start(self) -> None:
        """As a process that serves the sources does."""
        locations = locate(str(self.rig.config), environ=self.rig.environment)
        config = schema.load(locations.config)
        owner = joined(self.database, self.host)
        self.lifeline = Lifeline(self.database, owner, self.clock)
        sources: dict[str, LeasedSource] = {}
        orders: dict[str, ConfiguredOrders] = {}
        events = EventLog(locations.events)
        places = RunningPlaces(
            locations.leased_running, locations.running, locations.running_lock, survives_boot=True
        )
        limits = limits_for(
            locations, lambda: config, clock=self.clock, running=RunningTasks(places), emit=events.emit
        )
        rules = ConfiguredRules(locations, lambda: config, sources, orders, limits, environ=os.environ)
        accounts = WorkerAccounts(limits)
        limits.configure(bounds_of(config), serves={source.id for source in config.sources})
        for source in config.sources:
            order = orders[source.id] = ConfiguredOrders(
                lambda: config,
                source,
                locations.private,
                os.environ,
                allowance=lambda _source, _task_id, _wanted: None,
                trust=SettingsTrust(locations.trusted_settings),
                worktrees=locations.worktrees,
                temporary=locations.temporary,
                documents=locations.documents,
                with_credentials=False,
            )
            engine = self.engines[source.id] = FleetEngine(
                self.database,
                source.id,
                owner,
                slots=_slots_of(source),
                scratch=locations.documents,
                layers=order.layers,
            )
            context = SourceContext(
                source=source.id,
                engine=engine,
                runners=RunnersOutOfSight(),
                orders=OrdersOfWorkers(order),
                admission=accounts.of(source.id),
                state_of=self._state_of,
                clock=self.clock,
                emit=events.emit,
                dedupe=KeyedTasks(),
                timing=lambda: Timing(3600, 30),
            )
            sources[source.id] = LeasedSource(context, engine.leased, accounts, finish=_settled)
        self.sources = sources
        self._claims = LeasedClaims(sources, rules, accounts, self.clock)
        self._events = events

    @property
    def claims(self) -> Claims:
        return self._claims

    def close(self) -> None:
        self._events.close()

    def drop_text(self, name: str, text: str, *, source: str = "a") -> None:
        submit(self.database, source, TaskId(name), text.encode())

    def cancel(self, name: str) -> None:
        self.engines["a"].requests.request_cancel(TaskId(name))

    def result(self, task_id: str, source: str = "a") -> dict[str, Any]:
        with self.database.transaction() as cursor:
            cursor.execute("SELECT result FROM task WHERE source = %s AND record = %s", [source, task_id])
            ((found,),) = cursor.fetchall()
        kept: dict[str, Any] = json.loads(found)
        return kept

    def locks(self, source: str = "a") -> list[str]:
        return sorted(self.engines[source].survey().locks)

    def transcript(self, task_id: str) -> list[str]:
        (claim,) = (each for each in self.engines["a"].queue.claims() if each.task_id == task_id)
        return list(self.engines["a"].attempts.transcript(claim))

    def _state_of(self, task_id: TaskId) -> TaskState | None:
        states = (engine.state_of(task_id) for engine in self.engines.values())
        return next((state for state in states if state is not None), None)


def _slots_of(source: Source) -> Callable[[], int]:
    return lambda: source.slots or 1


def _settled(source: LeasedSource, hold: OpenClaim) -> None:
    assert hold.report is not None
    source.settle(hold, hold.report.outcome, hold.report.work)


class TestFleetClaims(ClaimsContract):
    @pytest.fixture
    def bench(self, tmp_path: Path, database: Database) -> Iterator[ClaimsBench]:
        bench = FleetClaimsBench(tmp_path, database)
        bench.start()
        yield bench
        bench.close()


@pytest.fixture
def two_hosts(tmp_path: Path, address: FleetAddress, database: Database) -> Iterator[list[FleetClaimsBench]]:
    """With a home each, on one database; the clock is the same only because a test moves both."""
    other = Database(address)
    benches = [
        FleetClaimsBench(tmp_path / "one", database, "one"),
        FleetClaimsBench(tmp_path / "two", other, "two"),
    ]
    benches[1].clock = benches[0].clock
    for bench in benches:
        bench.start()
    yield benches
    for bench in benches:
        bench.close()
    other.close()


def test_two_hosts_hand_out_one_queue(two_hosts: list[FleetClaimsBench]) -> None:
    """Each task once, no more than three of a source at once, and a dependent after what it depends on."""
    one, two = two_hosts
    for number in range(4):
        one.drop(f"task-{number}", priority=9 - number)
    two.drop("task-after", source="b", depends_on="task-0")
    held = [one.got(), two.got(), one.got()]

    assert [got.task_id for got in held] == ["task-0", "task-1", "task-2"]
    assert (one.claim("w2"), two.claim("w2")) == (None, None)
    one.report(held[0])
    assert sorted([two.got("w2").task_id, one.got("w2").task_id]) == ["task-3", "task-after"]


def test_a_host_that_is_drained_hands_out_nothing_more(two_hosts: list[FleetClaimsBench]) -> None:
    """What it handed out goes on, and another host has the rest."""
    one, two = two_hosts
    one.drop("task-1")
    one.drop("task-2")
    held = one.got()
    set_draining(two.database, "one", draining=True)

    assert one.claim("w2") is None
    assert two.got("w2").task_id == "task-2"
    assert one.report(held) == "applied"
    set_draining(two.database, "one", draining=False)
    one.drop("task-3")
    assert one.got().task_id == "task-3"


def test_what_a_dead_host_had_handed_out_is_carried_out_by_another(
    two_hosts: list[FleetClaimsBench],
) -> None:
    """Once its number has stood still, and its worker has not been heard of by the other one for a whole lease."""
    dead, alive = two_hosts
    alive.drop("task-1", on_lost_session="rerun", retry_delay="0s")
    alive.drop("task-2", on_lost_session="rerun", retry_delay="0s")
    lost, kept = dead.got(), dead.got("w2")
    dead.lifeline.turn()
    for _ in range(int(LEASE_S)):  # of peers
        assert (alive.lifeline.turn(), alive.claim("w3")) == ((), None)
        alive.clock.advance(1)
    assert alive.lifeline.turn() == (("one", 1),)
    alive.claims.sweep()

    assert alive.heartbeat(kept, "w2") == "continue"
    alive.clock.advance(CLAIM_LEASE_S - 1)
    assert alive.heartbeat(kept, "w2") == "continue"
    alive.clock.advance(1)
    again = alive.got("w3")
    assert (again.task_id, again.epoch) == ("task-1", 2)
    with pytest.raises(ClaimLost):
        dead.report(lost)
    alive.report(again, worker="w3")
    alive.report(kept, worker="w2")
    assert [len(alive.result(task)["attempts"]) for task in ("task-1", "task-2")] == [2, 1]
