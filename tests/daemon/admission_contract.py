"""What every Admission promises. A test class of each inherits ``AdmissionContract`` and gives a bench."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from task_queue.domain.attempt.results import bare_ending
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.model import Outcome, OutcomeKind, Pause
from task_queue.domain.task import TaskId
from task_queue.ports.admission import Admission
from tests.claims import a_claim
from tests.fakes import FakeClock


@dataclass
class AdmissionBench:
    """An admission with one place for agents."""

    admission: Admission
    clock: FakeClock
    woken: list[str] = field(default_factory=list[str])

    def enter(self, source: str, *, executor: str = "claude") -> str | None:
        task = Waiting(TaskId("task-x"), self.clock.now(), priority=5, executor=executor)
        return self.admission.enter(source, task, lambda: self.woken.append(source))

    def leave(self, source: str) -> None:
        self.admission.leave(source, TaskId("task-x"))

    def is_probing(self, source: str) -> bool:
        return self.admission.is_probing(source, TaskId("task-x"))

    def screened(self, source: str, *, executor: str = "claude") -> str | None:
        screen = self.admission.screen(source)
        task = Waiting(TaskId("task-x"), self.clock.now(), priority=5, executor=executor)
        return None if screen is None else screen(task)

    def paused(self) -> None:
        """Until an hour from now, or a little later."""
        until = self.clock.now() + timedelta(hours=1)
        told = self.admission.pause(Pause("usage limit", until))
        assert until <= told <= until + timedelta(minutes=10)

    def after_the_pause(self) -> None:
        self.clock.advance(2 * 3600)

    def ended(self, source: str, kind: OutcomeKind) -> None:
        claim = a_claim("task-x", started_at=self.clock.now())
        ending = bare_ending(claim, Outcome(kind, kind.value), by="runner", now=self.clock.now())
        self.admission.ended(source, claim, ending)


class AdmissionContract(ABC):
    @pytest.fixture
    @abstractmethod
    def bench(self) -> AdmissionBench: ...

    def test_a_place_is_taken_and_left(self, bench: AdmissionBench) -> None:
        """Who was refused is told why, and woken when that may have changed."""
        first, second = bench.enter("a"), bench.enter("b")
        bench.leave("a")

        assert (first, bool(second), bench.woken) == (None, True, ["b"])
        assert bench.enter("b") is None

    def test_what_runs_already_takes_a_place_without_asking(self, bench: AdmissionBench) -> None:
        """Even where none is free; others wait until all have left."""
        bench.admission.count_in("a", TaskId("task-x"), None)
        bench.admission.count_in("b", TaskId("task-x"), None)
        bench.leave("a")
        held = bench.enter("c")
        bench.leave("b")

        assert held
        assert bench.enter("c") is None

    def test_leaving_twice_frees_one_place(self, bench: AdmissionBench) -> None:
        """Recovery may repeat it."""
        bench.enter("a")
        bench.leave("a")
        bench.leave("a")

        assert bench.enter("b") is None
        assert bench.enter("c")

    def test_a_pause_holds_agents_back(self, bench: AdmissionBench) -> None:
        """In every source, until its time; what needs no account goes on."""
        bench.paused()

        assert (bool(bench.screened("a")), bool(bench.enter("b"))) == (True, True)
        assert bench.screened("a", executor="make") is None
        assert bench.enter("a", executor="make") is None

    def test_one_task_tries_the_account_after_a_pause(self, bench: AdmissionBench) -> None:
        """The others wait for what it finds out."""
        bench.paused()
        bench.after_the_pause()
        entered = bench.enter("a")

        assert entered is None
        assert (
            bench.is_probing("a"),
            bench.is_probing("b"),
        ) == (True, False)
        assert bench.screened("b")

    def test_an_answer_opens_the_account(self, bench: AdmissionBench) -> None:
        """While the attempt that tried it still runs."""
        bench.paused()
        bench.after_the_pause()
        bench.enter("a")
        bench.admission.account_works()

        assert not bench.is_probing("a")
        assert bench.screened("b") is None

    def test_an_attempt_that_succeeds_opens_the_account(self, bench: AdmissionBench) -> None:
        """One that was limited again does not."""
        bench.paused()
        bench.after_the_pause()
        bench.enter("a")
        bench.ended("a", OutcomeKind.LIMITED)
        still_held = bench.screened("b")
        bench.ended("a", OutcomeKind.SUCCEEDED)

        assert still_held
        assert bench.screened("b") is None

    def test_who_leaves_without_an_answer_lets_another_try(self, bench: AdmissionBench) -> None:
        bench.paused()
        bench.after_the_pause()
        bench.enter("a")
        bench.leave("a")

        assert bench.enter("b") is None
        assert bench.is_probing("b")

    def test_no_account_is_tried_that_was_not_paused(self, bench: AdmissionBench) -> None:
        bench.enter("a")

        assert not bench.is_probing("a")
