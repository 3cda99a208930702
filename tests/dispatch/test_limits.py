"""What the owner allows holds for workers, too, over the daemon and the process that serves them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from task_queue.config import schema
from task_queue.config.locations import Locations, locate
from task_queue.daemon.admission import SharedAdmission
from task_queue.daemon.admission.account_file import AccountFile
from task_queue.daemon.admission.bounds import bounds_of
from task_queue.daemon.admission.configured import limits_for
from task_queue.daemon.admission.running import RunningPlaces, RunningTasks
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.task import TaskId
from tests.dispatch.claims_contract import LEASE_S
from tests.dispatch.test_folder_claims import FolderBench
from tests.waiting import eventually

ASIDE = "what is left of the daily budget is set aside for the tasks that run"


class LimitsBench(FolderBench):
    @property
    def locations(self) -> Locations:
        return locate(str(self.rig.config), environ=self.rig.environment)

    def a_daemon(self) -> SharedAdmission:
        """What the daemon beside it decides with."""
        locations = self.locations
        config = schema.load(locations.config)
        places = RunningPlaces(locations.running, locations.leased_running, locations.running_lock)
        limits = limits_for(
            locations,
            lambda: config,
            clock=self.clock,
            running=RunningTasks(places),
            emit=lambda _: None,
        )
        limits.configure(bounds_of(config), serves=["own"])
        limits.looked("own")
        return SharedAdmission(limits, AccountFile(locations.accounts))

    def enter(self, daemon: SharedAdmission, **task: Any) -> str | None:
        """A task of the daemon's, at the place where the others are."""
        workspace = str(self.rig.workspace)
        waiting = Waiting(TaskId("task-own"), self.clock.now(), **{"workspace": workspace, **task})
        return daemon.enter("own", waiting, lambda: None)

    def leave(self, daemon: SharedAdmission) -> None:
        daemon.leave("own", TaskId("task-own"))

    def drop_agents(self, *names: str, **keys: object) -> None:
        front = "".join(f"{key}: {value}\n" for key, value in keys.items())
        for name in names:
            self.rig.drop(name, f"---\n{front}---\n# Do it")

    def why(self, source: str = "a") -> str:
        """As status says it."""
        found = self.sources.described()[source]["why"]
        return str(found)


@pytest.fixture
def a_bench(tmp_path: Path) -> Iterator[Callable[..., LimitsBench]]:
    made: list[LimitsBench] = []

    def make(**keys: Any) -> LimitsBench:
        made.append(LimitsBench(tmp_path, **keys))
        made[-1].start()
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def test_a_claim_sets_its_share_of_the_day_aside(a_bench: Callable[..., LimitsBench]) -> None:
    """Of several at a time no two may spend the same money; where none is left, nothing is handed out."""
    bench = a_bench(limits={"daily_budget_usd": 1.0})
    bench.drop_agents("task-1", "task-2", "task-3", max_budget_usd=0.4)
    got = [bench.got(sources=["a"]) for _ in range(3)]
    bench.drop_agents("task-4")
    bench.rig.drop_command("task-5", "true", source="b", priority=1)

    assert [each.order["allowance_usd"] for each in got] == pytest.approx([0.4, 0.4, 0.2])
    assert "max_budget_usd: 0.2" in got[2].document
    bench.report(got[0], cost_usd=0.4)
    assert bench.claim(sources=["a"]) is None
    assert bench.why() == ASIDE
    assert bench.got().task_id == "task-5"  # what costs nothing goes on


def test_a_budget_that_is_used_up_hands_out_no_agents(a_bench: Callable[..., LimitsBench]) -> None:
    """Before the next day."""
    bench = a_bench(limits={"daily_budget_usd": 1.0})
    bench.drop_agents("task-1", "task-2")
    bench.report(bench.got(), cost_usd=1.0)

    assert bench.claim() is None
    assert bench.why() == "the daily budget is spent (1.00 USD today); goes on at midnight"
    assert "the daily budget is spent" in " ".join(bench.rig.cli("tasks", "show", "task-2").stdout.split())
    bench.clock.advance(86_400)
    assert bench.got().task_id == "task-2"


def test_the_budget_of_a_source_is_its_own(a_bench: Callable[..., LimitsBench]) -> None:
    """And several of its tasks at a time share it."""
    bench = a_bench(a={"daily_budget_usd": 0.5})
    bench.drop_agents("task-1", "task-2")
    bench.rig.drop("task-3", "# Do it", source="b")
    got = bench.got(sources=["a"])

    assert (got.order["allowance_usd"], bench.claim(sources=["a"])) == (0.5, None)
    assert bench.got().order["allowance_usd"] is None


def test_an_allowance_below_the_tasks_own_is_renewed_at_midnight(a_bench: Callable[..., LimitsBench]) -> None:
    """What ended for want of the day's money has not failed; what ended for want of its own has."""
    bench = a_bench(limits={"daily_budget_usd": 1.0})
    bench.drop_agents("task-1", max_budget_usd=5)
    got = bench.got()
    bench.report(got, "budget", cost_usd=1.0)

    assert "max_budget_usd: 1\n" in got.document
    assert (bench.claim(), bench.has_ended("task-1")) == (None, False)
    bench.clock.advance(86_400)
    bench.rig.config.write_text(bench.rig.config.read_text().replace("1.0", "9.0"))
    bench.sources.refresh()
    again = bench.got()
    assert (again.epoch, again.order["allowance_usd"]) == (2, 4.0)
    bench.report(again, "budget", cost_usd=4.0)
    assert (bench.result("task-1")["outcome"], bench.result("task-1")["state"]) == ("budget", "failed")


def test_what_earlier_attempts_used_is_not_there_twice(a_bench: Callable[..., LimitsBench]) -> None:
    bench = a_bench()
    bench.drop_agents("task-1", max_budget_usd=2, max_turns=10, retry_delay="0s")
    bench.report(bench.got(), "failed", cost_usd=1.5)
    again = bench.got()

    assert again.order["allowance_usd"] == 0.5
    assert "max_budget_usd: 0.5\n" in again.document
    assert "max_turns: 9\n" in again.document


def test_what_is_set_aside_outlives_the_process(a_bench: Callable[..., LimitsBench]) -> None:
    """A claim that ends gives the rest back."""
    bench = a_bench(limits={"daily_budget_usd": 1.0})
    bench.drop_agents("task-1", "task-2", max_budget_usd=0.8, on_lost_session="rerun", retry_delay="0s")
    bench.got()
    bench.restart()

    assert bench.got().order["allowance_usd"] == pytest.approx(0.2)
    bench.clock.advance(LEASE_S)
    assert bench.got("w2").order["allowance_usd"] == 0.8


def test_the_daemon_and_workers_share_one_budget(a_bench: Callable[..., LimitsBench]) -> None:
    """And places, neighbours and the gap between starts: whoever comes first."""
    bench = a_bench(limits={"daily_budget_usd": 1.0})
    bench.drop_agents("task-1", max_budget_usd=0.7)
    daemon = bench.a_daemon()
    got = bench.got()
    assert bench.enter(daemon) is None
    allowance = daemon.limits.allowance("own", TaskId("task-own"), None)
    bench.drop_agents("task-2")

    assert allowance == pytest.approx(0.3)
    bench.report(got)
    assert bench.got().order["allowance_usd"] == pytest.approx(0.7)


def test_places_are_those_of_both(a_bench: Callable[..., LimitsBench]) -> None:
    bench = a_bench(limits={"running": 2})
    for name in ("task-1", "task-2", "task-3"):
        bench.drop(name)
    daemon = bench.a_daemon()
    first = bench.got()
    assert bench.enter(daemon) is None

    full = "all 2 places for agents are taken"
    assert (bench.claim(), bench.why()) == (None, full)
    bench.leave(daemon)
    second = bench.got()
    assert bench.enter(daemon) == full
    bench.report(first)
    bench.report(second)
    assert bench.enter(daemon) is None


def test_starts_are_apart_over_both(a_bench: Callable[..., LimitsBench]) -> None:
    bench = a_bench(limits={"start_gap": "10s"})
    bench.drop("task-1")
    bench.drop("task-2")
    daemon = bench.a_daemon()
    bench.got()

    assert "starts are 10s apart" in (bench.enter(daemon) or "")
    assert (bench.claim(), "starts are 10s apart" in bench.why()) == (None, True)
    bench.clock.advance(10)
    assert bench.enter(daemon) is None
    assert bench.claim() is None
    bench.clock.advance(10)
    assert bench.got().task_id == "task-2"


def test_what_touches_the_same_files_is_never_out_beside_the_daemons(
    a_bench: Callable[..., LimitsBench],
) -> None:
    bench = a_bench(limits={"per_repository": 2})
    (bench.rig.workspace / ".git").mkdir()
    bench.drop("task-1", touches="src/a.py", priority=9)
    bench.drop("task-2")
    bench.drop("task-3")
    daemon = bench.a_daemon()
    assert bench.enter(daemon, touches=("src/*",)) is None

    assert bench.got().task_id == "task-2"
    assert bench.claim() is None  # two of the repository are out
    bench.leave(daemon)
    assert bench.got().task_id == "task-1"
    assert bench.enter(daemon, touches=("docs/*",)) is not None


def test_a_source_whose_tasks_keep_failing_is_stopped(a_bench: Callable[..., LimitsBench]) -> None:
    """By the breaker: those that run may still succeed, and a person lets it go on."""
    bench = a_bench(limits={"starts_per_10min": 2})
    for number in range(4):
        bench.drop(f"task-{number}", max_attempts=1)
    held = [bench.got() for _ in range(3)]
    bench.report(held[0], "failed")
    bench.report(held[1], "failed")

    assert bench.claim() is None
    assert "stopped by the breaker" in bench.why()
    bench.rig.cli("sources", "resume", "a", check=True)
    bench.sources.refresh()
    assert bench.got().task_id == "task-3"


def test_results_that_wait_for_a_person_hold_the_source(a_bench: Callable[..., LimitsBench]) -> None:
    bench = a_bench(limits={"unreviewed": 1})
    bench.drop("task-1", max_attempts=1)
    bench.drop("task-2")
    bench.drop("task-3", source="b", priority=1)
    bench.report(bench.got(sources=["a"]), "failed")

    assert bench.got().task_id == "task-3"
    assert bench.claim() is None
    assert "1 result waits for a person" in bench.why()
    bench.rig.cli("tasks", "ack", "task-1", check=True)
    assert bench.got().task_id == "task-2"


def test_what_a_dead_daemon_left_running_counts_until_another_has_looked(
    a_bench: Callable[..., LimitsBench],
) -> None:
    bench = a_bench(limits={"running": 1})
    bench.drop("task-1")
    bench.enter(bench.a_daemon())
    assert bench.claim() is None

    bench.a_daemon()
    assert bench.got().task_id == "task-1"


def test_waiting_claims_are_woken_by_what_the_daemon_ends(
    a_bench: Callable[..., LimitsBench],
) -> None:
    bench = a_bench(limits={"running": 1})
    bench.drop("task-1")
    daemon = bench.a_daemon()
    bench.enter(daemon)
    assert bench.claim() is None
    eventually(lambda: "places" in bench.why())

    bench.leave(daemon)
    eventually(lambda: bench.why() == "None", timeout=10)
