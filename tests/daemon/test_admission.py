"""The admission: places, the account's pauses and probes, budgets, the breaker. With a fake clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from task_queue.app.broken_bases import let_go_on
from task_queue.daemon.admission import Bounds, SharedAdmission, SharedLimits
from task_queue.daemon.admission.account_file import AccountFile
from task_queue.daemon.admission.broken_bases import BrokenBases
from task_queue.daemon.admission.ledger import Ledger
from task_queue.domain.attempt.results import bare_ending
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.holds import Held, paused_by_configuration, source_drains, source_paused
from task_queue.domain.hours import hours_of
from task_queue.domain.local_time import next_midnight
from task_queue.domain.model import Claim, Ending, Outcome, OutcomeKind, Pause, Work, WorkProduct
from task_queue.domain.task import TaskId
from task_queue.store.pauses import Pauses
from tests.admission import FakeAdmission
from tests.claims import a_claim
from tests.daemon.admission_contract import AdmissionBench, AdmissionContract
from tests.fakes import FakeClock

DEADLINE_S = 10.0


class GateBench:
    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        self.clock = FakeClock()
        self.clock.time = datetime(2026, 2, 7, 12).astimezone()
        self.folder = folder
        self.wakeups: list[str] = []
        self.tip: str | None = None
        """Where every target is."""
        self.ask_git: Callable[[], str | None] = lambda: self.tip
        self.admission = self.new_admission(bounds or Bounds())
        self.attempts = 0

    def new_admission(self, bounds: Bounds) -> SharedAdmission:
        """As after a restart of the daemon."""
        limits = SharedLimits(
            self.clock,
            Ledger(self.folder / "ledger.jsonl"),
            broken_bases=BrokenBases(self.folder / "broken-bases", lambda _: self.ask_git()),
            pauses=Pauses(self.folder / "pauses"),
        )
        admission = SharedAdmission(limits, AccountFile(self.folder / "accounts.json"), jitter=lambda: 0.0)
        limits.configure(bounds)
        return admission

    def task(self, **more: Any) -> Waiting:
        return Waiting(TaskId("task-x"), self.clock.now(), **more)

    def enter(self, source: str = "a", **task: object) -> str | None:
        return self.admission.enter(source, self.task(**task), lambda: self.wakeups.append(source))

    def run(self, kind: OutcomeKind, *, source: str = "a", work: Work | None = None) -> None:
        """One attempt from its entry to its ending."""
        assert self.enter(source) is None
        self.admission.ended(source, *self.ending(kind, work))
        self.admission.leave(source, TaskId("task-x"))

    def ending(self, kind: OutcomeKind, work: Work | None = None) -> tuple[Claim, Ending]:
        self.attempts += 1
        claim = a_claim("task-x", started_at=self.clock.now(), attempt=self.attempts)
        return claim, bare_ending(
            claim, Outcome(kind, kind.value), by="runner", now=self.clock.now(), work=work
        )


@pytest.fixture
def bench(tmp_path: Path) -> GateBench:
    return GateBench(tmp_path)


def test_places_are_limited(tmp_path: Path) -> None:
    """The one that was refused is told when a place is free."""
    bench = GateBench(tmp_path, Bounds(places=1))

    first, second = bench.enter("a"), bench.enter("b")
    bench.admission.leave("a", TaskId("task-x"))

    assert (first, second) == (None, "all 1 places for agents are taken")
    assert bench.wakeups == ["b"]
    assert bench.enter("b") is None


def test_an_adopted_attempt_takes_a_place(tmp_path: Path) -> None:
    """It runs already, so it is never refused; but others wait for its place."""
    bench = GateBench(tmp_path, Bounds(places=1))

    bench.admission.count_in("a", TaskId("task-x"), None)
    bench.admission.count_in("b", TaskId("task-x"), None)
    held = bench.enter("c")
    bench.admission.leave("a", TaskId("task-x"))
    still_held = bench.enter("c")
    bench.admission.leave("b", TaskId("task-x"))

    assert held == still_held == "all 1 places for agents are taken"
    assert bench.enter("c") is None


def test_an_adopted_attempt_sets_its_share_aside(tmp_path: Path) -> None:
    """Two at once cannot spend the same money, whoever started them."""
    bench = GateBench(tmp_path, Bounds(daily_budget_usd=1.0))

    bench.admission.count_in("a", TaskId("task-x"), 0.4)
    bench.enter("b")

    assert bench.admission.limits.allowance("b", TaskId("task-x"), None) == pytest.approx(0.6)


def test_a_pause_holds_every_source_until_its_time(bench: GateBench) -> None:
    """One minute after the announced reset at the earliest."""
    reset = bench.clock.now() + timedelta(hours=2)
    until = bench.admission.pause(Pause("usage limit", reset))

    held = bench.enter("a"), bench.enter("b")
    bench.clock.advance(2 * 3600 + 61)

    assert until == reset + timedelta(seconds=60)
    assert all("usage limit" in (reason or "") for reason in held)
    assert bench.enter("a") is None


def test_commands_do_not_wait_for_the_agents_account(bench: GateBench) -> None:
    """They are billed to nobody."""
    bench.admission.pause(Pause("usage limit"))

    assert bench.enter("a", executor="make") is None


def test_a_pause_survives_a_restart(bench: GateBench) -> None:
    """It lies on the disk."""
    bench.admission.pause(Pause("usage limit"))
    bench.admission = bench.new_admission(Bounds())

    assert "usage limit" in (bench.enter("a") or "")


def test_one_task_tries_the_account_first(bench: GateBench) -> None:
    """The others follow once it got an answer."""
    bench.admission.pause(Pause("usage limit"))
    bench.clock.advance(16 * 60)

    first, second = bench.enter("a"), bench.enter("b")
    bench.admission.account_works()

    assert first is None
    assert second == "a task of source a tries first whether the account works again"
    assert bench.wakeups == ["b"]
    assert bench.enter("b") is None


def test_a_probe_that_was_stopped_shows_nothing(bench: GateBench) -> None:
    """The account stays to be tried by the next task."""
    bench.admission.pause(Pause("usage limit"))
    bench.clock.advance(16 * 60)
    bench.run(OutcomeKind.INTERRUPTED)

    assert bench.enter("b") is None
    assert bench.admission.is_probing("b", TaskId("task-x"))


@pytest.mark.parametrize("kind", [OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.DENIED])
def test_a_probe_that_ended_opens_the_account(bench: GateBench, kind: OutcomeKind) -> None:
    """Whatever became of its task: the account answered."""
    bench.admission.pause(Pause("usage limit"))
    bench.clock.advance(16 * 60)
    bench.run(kind)

    assert bench.admission.account.paused_until is None


def test_a_probe_that_got_no_answer_shows_nothing(bench: GateBench) -> None:
    """Its setup failed, or no endpoint could be reached: the account was not asked."""
    bench.admission.pause(Pause("usage limit"))
    bench.clock.advance(16 * 60)
    bench.run(OutcomeKind.UNAVAILABLE)

    assert bench.admission.account.paused_until is not None
    assert bench.enter("b") is None
    assert bench.admission.is_probing("b", TaskId("task-x"))


@pytest.mark.parametrize("opened_by", ["time", "a person"])
def test_the_task_that_paused_it_does_not_try_first(bench: GateBench, opened_by: str) -> None:
    """Another one does, of whichever source; without another, it does."""
    bench.admission.pause(Pause("refused"))
    bench.clock.advance(14 * 60)
    assert bench.enter("a", paused=1) is not None
    assert bench.enter("b", paused=0) is not None
    if opened_by == "time":
        bench.clock.advance(2 * 60)
    else:
        (bench.folder / "accounts.json").unlink()
        bench.admission.look_at_account_file()

    first = bench.enter("a", paused=1)
    screen = bench.admission.screen("a")
    behind = screen(bench.task()) if screen else None
    second = bench.enter("b", paused=0)

    assert first == "another task tries first whether the account works again"
    assert behind is None, "the one behind it in its own source may"
    assert second is None
    assert bench.admission.is_probing("b", TaskId("task-x"))
    bench.admission.account_works()
    assert bench.enter("a", paused=1) is None


def test_of_those_that_were_sent_back_the_one_tries_that_was_so_least_often(bench: GateBench) -> None:
    """So each has its turn."""
    bench.admission.pause(Pause("refused"))
    bench.clock.advance(14 * 60)
    bench.enter("b", paused=1)
    bench.clock.advance(2 * 60)

    assert bench.enter("a", paused=2) == "another task tries first whether the account works again"
    assert bench.enter("b", paused=1) is None


def test_a_task_that_is_gone_keeps_none_from_trying(bench: GateBench) -> None:
    """It was cancelled while the account was paused: its worker looks, and chooses none."""
    bench.admission.pause(Pause("refused"))
    bench.clock.advance(14 * 60)
    bench.enter("b", paused=0)
    bench.clock.advance(2 * 60)
    held = bench.enter("a", paused=1)
    for _ in range(2):
        bench.admission.screen("b")

    assert held is not None
    assert bench.enter("a", paused=1) is None


def test_a_source_that_cannot_ask_keeps_none_from_trying(bench: GateBench) -> None:
    """It is unavailable, or was removed, since its worker asked."""
    bench.admission.pause(Pause("refused"))
    bench.enter("b", paused=0)
    bench.clock.advance(16 * 60)

    assert bench.enter("a", paused=1) is None


def test_a_limit_for_a_class_holds_its_tasks_only(bench: GateBench) -> None:
    """Also after a restart, until its time; a task that names no model is of the class where one like it met it."""
    until = bench.clock.now() + timedelta(hours=2)
    for asked in ("opus", None):
        bench.admission.pause_model("a", "opus", Pause("limit", until, "opus", is_class=True), asked=asked)
    for admission in (bench.admission, bench.new_admission(Bounds())):
        bench.admission = admission
        for source, model in (("b", "sonnet"), ("b", None)):
            assert bench.enter(source, model=model) is None
            bench.admission.leave(source, TaskId("task-x"))
        for source, model in (("b", "claude-opus-5-5"), ("a", "opus"), ("a", None)):
            assert "opus paused until" in (bench.enter(source, model=model) or "")
        assert bench.enter("a", model="opus", executor="make") is None
        bench.admission.leave("a", TaskId("task-x"))
    assert bench.admission.account.paused_until is None

    bench.clock.time = until + timedelta(seconds=61)
    assert bench.enter("a", model="opus") is None


def test_a_refused_model_holds_that_model_alone(bench: GateBench) -> None:
    """It is tried again after a growing time, and an answer ends that."""
    refused = Pause("refused", model="claude-opus-4")

    first = bench.admission.pause_model("a", "claude-opus-4", refused, asked="claude-opus-4")
    held, other = bench.enter("a", model="claude-opus-4"), bench.enter("b", model="claude-opus-5-5")
    bench.clock.time = first
    second = bench.admission.pause_model("a", "claude-opus-4", refused, asked="claude-opus-4")
    bench.clock.time, waited = second, second - first
    assert bench.enter("a", model="claude-opus-4") is None
    bench.admission.ended("a", *bench.ending(OutcomeKind.SUCCEEDED, Work(num_turns=1)))

    assert "claude-opus-4 paused until" in (held or "")
    assert other is None
    assert waited == timedelta(minutes=30)
    assert bench.admission.account.models == {}


def test_a_person_opens_every_part_of_the_account(bench: GateBench) -> None:
    """The file is removed, as for the whole of it."""
    bench.admission.pause_model("a", "opus", Pause("limit", model="opus", is_class=True), asked="opus")
    assert bench.enter("a", model="opus") is not None
    (bench.folder / "accounts.json").unlink()
    bench.admission.look_at_account_file()

    assert bench.wakeups == ["a"]
    assert bench.enter("a", model="opus") is None


def test_an_unreachable_endpoint_is_tried_soon(bench: GateBench) -> None:
    """1, 2, 4 minutes, doubled up to 15."""
    minutes: list[float] = []
    for _ in range(6):
        until = bench.admission.pause(Pause("no endpoint", briefly=True))
        minutes.append((until - bench.clock.now()).total_seconds() / 60)
        bench.clock.time = until

    assert minutes == [1, 2, 4, 8, 15, 15]


def test_an_attempt_that_began_in_a_pause_tried_it(bench: GateBench) -> None:
    """What it finds is not of its task's making."""
    before = bench.clock.now() - timedelta(seconds=1)
    assert not bench.admission.was_paused(before)
    bench.admission.pause(Pause("refused"))

    assert not bench.admission.was_paused(before)
    assert bench.admission.was_paused(bench.clock.now())


def test_unknown_resets_are_guessed_longer_and_longer(bench: GateBench) -> None:
    """15, 30, 60 minutes, doubled up to 6 hours; an announced reset starts over."""
    minutes: list[float] = []
    for _ in range(7):
        until = bench.admission.pause(Pause("usage limit"))
        minutes.append((until - bench.clock.now()).total_seconds() / 60)
        bench.clock.time = until

    assert minutes == [15, 30, 60, 120, 240, 360, 360]


def test_a_clock_set_back_does_not_lengthen_a_pause(bench: GateBench) -> None:
    """A task tries the account, and pauses it anew if it is too early."""
    bench.admission.pause(Pause("usage limit", bench.clock.now() + timedelta(hours=2)))
    bench.clock.time -= timedelta(days=1)

    assert bench.enter("a") is None
    assert bench.admission.is_probing("a", TaskId("task-x"))


def test_a_person_opens_the_account(bench: GateBench) -> None:
    """By removing its file, which is what tasks resume-account does."""
    bench.admission.pause(Pause("log in again"))
    assert bench.enter("a") is not None
    (bench.folder / "accounts.json").unlink()
    bench.admission.look_at_account_file()

    assert bench.wakeups == ["a"]
    assert bench.enter("a") is None


def test_an_attempt_that_ends_does_not_close_it_again(bench: GateBench) -> None:
    """What it tells of the limit is written only after a look at whether a person opened the account."""
    assert bench.enter("b") is None
    bench.admission.pause(Pause("limit"))
    (bench.folder / "accounts.json").unlink()

    bench.admission.ended("b", *bench.ending(OutcomeKind.SUCCEEDED, Work(utilization=0.5)))
    bench.admission.look_at_account_file()

    assert bench.enter("a") is None


def test_low_priorities_wait_while_the_limit_is_near(tmp_path: Path) -> None:
    """Above the configured utilization only important tasks start, until the report is an hour old."""
    bench = GateBench(tmp_path, Bounds(hold_above_utilization=0.8, hold_below_priority=7))
    bench.run(OutcomeKind.SUCCEEDED, work=Work(utilization=0.9))

    low, high = bench.enter("a", priority=5), bench.enter("b", priority=7)
    bench.clock.advance(3601)

    assert low == "90% of the usage limit are used: only priority 7 and above starts"
    assert high is None
    assert bench.enter("a", priority=5) is None


def test_the_daily_budget_ends_the_day(tmp_path: Path) -> None:
    """What was spent counts over all sources and across restarts; midnight renews it."""
    bounds = Bounds(daily_budget_usd=1.0)
    bench = GateBench(tmp_path, bounds)
    bench.run(OutcomeKind.SUCCEEDED, work=Work(total_cost_usd=1.2))
    bench.admission = bench.new_admission(bounds)

    held = bench.enter("b")
    command = bench.enter("c", executor="make")
    bench.clock.advance(24 * 3600)

    assert held == "the daily budget is spent (1.20 USD today); goes on at midnight"
    assert command is None
    assert bench.enter("b") is None


def test_a_sources_own_budget_holds_only_that_source(tmp_path: Path) -> None:
    """The others go on."""
    bench = GateBench(tmp_path, Bounds(source_budgets={"a": 0.5}))
    bench.run(OutcomeKind.SUCCEEDED, work=Work(total_cost_usd=0.5))

    assert "daily budget" in (bench.enter("a") or "")
    assert bench.enter("b") is None


def test_running_tasks_set_their_share_aside(tmp_path: Path) -> None:
    """Two at once cannot spend the same money."""
    bench = GateBench(tmp_path, Bounds(daily_budget_usd=1.0))
    bench.enter("a")
    bench.enter("b")

    assert bench.admission.limits.allowance("a", TaskId("task-x"), 0.4) == pytest.approx(0.4)
    assert bench.admission.limits.allowance("b", TaskId("task-x"), None) == pytest.approx(0.6)
    assert "set aside" in (bench.enter("c") or "")


def test_an_attempt_is_entered_once(bench: GateBench) -> None:
    """However often recovery repeats the step."""
    ended = bench.ending(OutcomeKind.SUCCEEDED, Work(total_cost_usd=0.25))
    for _ in range(3):
        bench.admission.ended("a", *ended)

    assert (bench.folder / "ledger.jsonl").read_text().count("\n") == 1
    assert Ledger(bench.folder / "ledger.jsonl").spent_on(bench.clock.now().date()) == pytest.approx(0.25)


def test_a_torn_ledger_line_is_passed_over(bench: GateBench) -> None:
    """The rest counts, what comes after it included."""
    bench.admission.ended("a", *bench.ending(OutcomeKind.SUCCEEDED, Work(total_cost_usd=0.25)))
    with (bench.folder / "ledger.jsonl").open("a") as file:
        file.write('{"at": "2026-02')
    assert Ledger(bench.folder / "ledger.jsonl").spent_on(bench.clock.now().date()) == pytest.approx(0.25)

    today = bench.clock.now()
    Ledger(bench.folder / "ledger.jsonl").enter("a", "task-b", 1, 0.5, at=today)
    assert Ledger(bench.folder / "ledger.jsonl").spent_on(today.date()) == pytest.approx(0.75)


def broken_at(commit: str) -> Work:
    """What a task found that began on a *commit* of main where a check fails that passed before."""
    found = {"repository": "/r", "commit": commit, "target": "main", "failed": ["pytest (failed)"]}
    return Work(product=WorkProduct("/r", baseline={**found, "regressed": ["pytest"]}))


def test_a_source_with_a_broken_target_is_held_until_the_target_moves(bench: GateBench) -> None:
    """Across restarts; other sources go on, and where git cannot be asked, it stays held."""
    bench.run(OutcomeKind.VERIFY_FAILED, work=broken_at("abc"))
    held = bench.enter("a")
    bench.tip = "abc"
    still, other = bench.enter("a"), bench.enter("b")
    bench.admission.leave("b", TaskId("task-x"))
    bench.admission = bench.new_admission(Bounds())
    after_a_restart = bench.enter("a")
    bench.tip = "def"

    assert held is not None
    assert "main of /r is broken at abc: pytest passed on an earlier commit" in held
    assert (still, other, after_a_restart) == (held, None, held)
    assert bench.admission.limits.needs_person("a") is None
    assert bench.enter("a") is None


def test_a_git_that_hangs_keeps_no_other_source_waiting(bench: GateBench) -> None:
    """While it is asked for one source, the others start, and attempts end."""
    bench.run(OutcomeKind.VERIFY_FAILED, work=broken_at("abc"))
    asked, answer = threading.Event(), threading.Event()

    def hangs() -> str:
        asked.set()
        answer.wait(5 * DEADLINE_S)
        return "def"

    bench.ask_git = hangs
    entered: list[str | None] = []
    looking = threading.Thread(target=lambda: entered.append(bench.enter("a")), daemon=True)
    looking.start()
    asked.wait(DEADLINE_S)
    others: list[str | None] = []
    other = threading.Thread(target=lambda: others.append(bench.enter("b")), daemon=True)
    other.start()
    other.join(DEADLINE_S)
    before_the_answer = list(others)
    bench.admission.leave("b", TaskId("task-x"))
    answer.set()
    looking.join(DEADLINE_S)

    assert (before_the_answer, entered) == ([None], [None])


def test_a_person_lets_a_source_with_a_broken_target_go_on(bench: GateBench) -> None:
    """The worker is woken, and the same commit holds it no more; another one does."""
    bench.run(OutcomeKind.VERIFY_FAILED, work=broken_at("abc"))
    held = bench.enter("a")
    let_go_on(bench.folder / "broken-bases", "a")
    bench.admission.limits.look_at_broken_bases()

    assert (held is not None, bench.wakeups) == (True, ["a"])
    assert bench.enter("a") is None
    bench.admission.leave("a", TaskId("task-x"))
    bench.run(OutcomeKind.VERIFY_FAILED, work=broken_at("abc"))
    assert bench.enter("a") is None
    bench.admission.leave("a", TaskId("task-x"))
    bench.run(OutcomeKind.VERIFY_FAILED, work=broken_at("def"))
    assert bench.enter("a") is not None


def test_a_pause_holds_its_source_from_the_moment_of_the_request(bench: GateBench) -> None:
    """Commands, too; another source goes on, and what runs is not disturbed."""
    pauses = Pauses(bench.folder / "pauses")
    assert bench.enter("a") is None
    pauses.drain("a", bench.clock.now())
    while_it_runs = bench.admission.limits.is_drained("a")
    bench.admission.leave("a", TaskId("task-x"))

    assert (while_it_runs, bench.admission.limits.is_drained("a")) == (False, True)
    assert bench.enter("a", executor="sh") == source_drains("a")
    assert bench.enter("b") is None
    pauses.pause("a", bench.clock.now())
    assert bench.enter("a") == source_paused("a")
    assert bench.admission.limits.why_closed("a") == source_paused("a")
    bench.admission.limits.configure(Bounds(closed=frozenset({"a"})))
    pauses.resume("a", bench.clock.now())
    assert bench.enter("a") == paused_by_configuration("a")
    bench.admission.limits.configure(Bounds())
    assert bench.enter("a") is None


@pytest.mark.parametrize("how", ["command", "configuration"])
def test_the_breaker_stops_a_source_without_progress(tmp_path: Path, how: str) -> None:
    """It stays stopped until a person resumes the source, or pauses it for a while; other sources go on."""
    bounds = Bounds(starts_per_10min=3)
    bench = GateBench(tmp_path, bounds)
    for _ in range(3):
        bench.run(OutcomeKind.FAILED)

    tripped = bench.enter("a")
    bench.clock.advance(3600)
    later, other = bench.enter("a"), bench.enter("b")
    if how == "command":
        bench.admission.limits.resumed("a")
    else:
        bench.admission.limits.configure(replace(bounds, closed=frozenset({"a"})))
        bench.admission.limits.configure(bounds)

    assert "3 starts in 10 minutes and no task succeeded" in (tripped or "")
    assert (later, other) == (tripped, None)
    assert bench.enter("a") is None


def test_starts_before_the_clock_was_set_back_do_not_trip_the_breaker(tmp_path: Path) -> None:
    """They lie in the future now; nobody knows how long ago they were."""
    bench = GateBench(tmp_path, Bounds(starts_per_10min=3))
    for _ in range(3):
        bench.run(OutcomeKind.FAILED)
    bench.clock.time -= timedelta(days=1)

    assert bench.enter("a") is None


def test_success_is_progress(tmp_path: Path) -> None:
    """A source whose tasks succeed may start as many as it likes."""
    bench = GateBench(tmp_path, Bounds(starts_per_10min=3))
    for kind in (OutcomeKind.FAILED, OutcomeKind.FAILED, OutcomeKind.SUCCEEDED) * 3:
        bench.run(kind)

    assert bench.enter("a") is None


def test_a_stop_holds_everything(bench: GateBench) -> None:
    """Commands too."""
    bench.admission.limits.set_stopped(True)
    held = bench.enter("a", executor="make")
    bench.admission.limits.set_stopped(False)

    assert held == "everything is stopped; go on with: task-queue resume"
    assert bench.wakeups == ["a"]


def test_a_full_disk_holds_everything(tmp_path: Path) -> None:
    """Below min_free_mb nothing is claimed."""
    bench = GateBench(tmp_path, Bounds(min_free_mb=10**9, folders={"a": tmp_path}))

    assert "MB are free" in (bench.enter("a") or "")


class TestSharedAdmission(AdmissionContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> AdmissionBench:
        shared = GateBench(tmp_path, Bounds(places=1))
        return AdmissionBench(shared.admission, shared.clock)


class TestFakeAdmission(AdmissionContract):
    @pytest.fixture
    def bench(self) -> AdmissionBench:
        clock = FakeClock()
        return AdmissionBench(FakeAdmission(clock), clock)


@pytest.mark.parametrize(
    ("pause", "needs_person"),
    [
        (Pause("usage limit"), False),
        (Pause("no endpoint", briefly=True), False),
        (Pause("not logged in", needs_person=True), True),
        (Pause("refused", model="opus", needs_person=True), True),
        (Pause("opus limit", model="opus", is_class=True), False),
    ],
    ids=["limit", "endpoint", "login", "a model", "a class of models"],
)
def test_a_pause_says_when_it_ends_and_whether_a_person_must_act(
    bench: GateBench, pause: Pause, needs_person: bool
) -> None:
    """Also after a restart, and only until the account works."""
    if pause.model is None:
        until = bench.admission.pause(pause)
    else:
        until = bench.admission.pause_model("a", pause.model, pause, asked=pause.model)

    for admission in (bench.admission, bench.new_admission(Bounds())):
        held = admission.held("b", bench.task(model="opus"))
        assert held is not None
        assert (held.until, held.needs_person) == (until, needs_person)
        assert admission.held("b", bench.task(model="opus", executor="make")) is None
    bench.clock.advance((until - bench.clock.now()).total_seconds() + 1)
    assert bench.admission.held("b", bench.task(model="opus")) is None


def test_a_spent_budget_ends_at_midnight(tmp_path: Path) -> None:
    """And what is only set aside ends when what runs has ended."""
    bench = GateBench(tmp_path, Bounds(daily_budget_usd=1.0))
    bench.run(OutcomeKind.FAILED, work=Work(total_cost_usd=0.6))
    bench.admission.count_in("a", TaskId("task-x"), 0.4)
    set_aside = bench.admission.held("b", bench.task())
    bench.admission.leave("a", TaskId("task-x"))
    bench.run(OutcomeKind.FAILED, work=Work(total_cost_usd=0.6))
    spent = bench.admission.held("b", bench.task())

    assert set_aside is not None
    assert (set_aside.until, set_aside.needs_person) == (None, False)
    assert spent is not None
    assert spent.until == next_midnight(bench.clock.now())


def test_what_is_closed_or_full_needs_a_person(tmp_path: Path) -> None:
    """A pause of the source, a stop of everything and a full disk; a taken place does not."""
    bench = GateBench(tmp_path, Bounds(places=1, closed=frozenset("a")))
    paused = bench.admission.held("a", bench.task())
    bench.enter("b")
    taken = bench.admission.held("c", bench.task())
    bench.admission.limits.set_stopped(True)
    stopped = bench.admission.held("c", bench.task())
    bench.admission.limits.set_stopped(False)
    bench.admission.limits.configure(Bounds(min_free_mb=2**40, folders={"c": tmp_path}))
    full = bench.admission.held("c", bench.task())

    assert [held and held.needs_person for held in (paused, taken, stopped, full)] == [
        True,
        False,
        True,
        True,
    ]


def test_a_question_is_no_look(bench: GateBench) -> None:
    """Whoever asks what holds a task changes nothing for the workers."""
    bench.admission.pause(Pause("limit"))
    bench.clock.advance(3600)

    for _ in range(3):
        bench.admission.held("b", bench.task(paused=0))

    assert bench.enter("a", paused=1) is None


def test_outside_its_hours_a_source_starts_nothing(tmp_path: Path) -> None:
    """Neither agents nor commands; it says when that ends, wakes who waits then, and lets others go on."""
    bench = GateBench(tmp_path, Bounds(hours={"a": hours_of(["22:00-06:00"], [])}))
    why = "outside the hours of the source: it starts nothing before 2026-02-07 22:00"
    opens = bench.clock.now().replace(hour=22)

    assert (bench.enter("a"), bench.enter("a", executor="make")) == (why, why)
    assert bench.admission.held("a", bench.task()) == Held(why, opens)
    assert bench.admission.limits.why_closed("a") is None  # no person is needed
    assert bench.enter("b") is None
    bench.admission.limits.look_at_hours()
    assert bench.wakeups == []

    bench.clock.time = opens
    bench.admission.limits.look_at_hours()

    assert bench.wakeups == ["a"]
    assert bench.enter("a") is None


def test_a_source_outside_its_hours_does_not_keep_others_from_trying_the_account(bench: GateBench) -> None:
    """It has a task that was sent back less often; but that one cannot try the account now."""
    bench.admission.limits.configure(Bounds(hours={"a": hours_of(["22:00-06:00"], [])}))
    bench.admission.pause(Pause("usage limit", bench.clock.now() + timedelta(hours=1)))
    bench.clock.advance(3700)

    bench.enter("a", paused=0)

    assert bench.enter("b", paused=1) is None


def test_two_processes_spend_of_one_budget(bench: GateBench) -> None:
    """The daemon and the API each have a ledger on the same file, and each sees what the other entered."""
    path, now = bench.folder / "ledger.jsonl", bench.clock.now()
    one, other = Ledger(path), Ledger(path)
    one.enter("a", "task-a", 1, 0.5, at=now)
    seen = other.spent_on(now.date())
    other.enter("b", "task-b", 1, 0.25, at=now)
    other.enter("a", "task-a", 1, 0.5, at=now)

    assert seen == pytest.approx(0.5)
    assert one.spent_on(now.date()) == other.spent_on(now.date()) == pytest.approx(0.75)
    assert one.spent_on(now.date(), "b") == pytest.approx(0.25)
    assert path.read_text().count("\n") == 2


def test_a_ledger_that_was_put_in_place_anew_is_read_from_its_beginning(bench: GateBench) -> None:
    path, now = bench.folder / "ledger.jsonl", bench.clock.now()
    ledger = Ledger(path)
    for number in range(3):
        ledger.enter("a", f"task-{number}", 1, 0.5, at=now)
    first = path.read_text().splitlines(keepends=True)[0]
    path.write_text(first.replace("task-0", "task-new"))

    assert ledger.spent_on(now.date()) == pytest.approx(2.0)
