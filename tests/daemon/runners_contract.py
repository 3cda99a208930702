"""What every Runners promises. A test class of each inherits ``RunnersContract`` and gives a bench."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from task_queue.domain.model import Ending, Journal, OutcomeKind, Owner, RunRecord
from task_queue.platform.wakeup import readable
from task_queue.ports.executor import Order, Stop
from task_queue.ports.runner import Runners, RunningAttempt
from task_queue.ports.store import Engine
from tests.waiting import eventually


@dataclass
class RunnersBench(ABC):
    """Runners, a claimed task, and its order: a command that goes on until it is ended."""

    runners: Runners
    engine: Engine
    order: Order

    def start(self) -> RunningAttempt:
        """Started, and so far that its agent acts."""
        attempt = self.runners.start(self.order)
        eventually(self.acts)
        return attempt

    def run(self) -> RunRecord:
        run = self.engine.attempts.run_of(self.order.claim)
        assert run is not None
        return run

    def ending(self) -> Ending | None:
        return self.engine.attempts.ending_of(self.order.claim)

    @abstractmethod
    def acts(self) -> bool:
        """Whether the attempt's agent is at work."""

    @abstractmethod
    def finish(self) -> None:
        """Let the agent come to its end by itself."""

    @abstractmethod
    def crash(self) -> None:
        """Kill the runner alone; its tree may go on."""

    @abstractmethod
    def left(self) -> int:
        """How many processes carry the attempt's marker."""


def has_ended(attempt: RunningAttempt) -> bool:
    """As a worker sees it that waits for the descriptor."""
    return bool(readable(attempt.fileno(), timeout_s=60)) and attempt.ended()


class RunnersContract(ABC):
    @pytest.fixture
    @abstractmethod
    def bench(self) -> RunnersBench | Iterator[RunnersBench]: ...

    def test_a_started_runner_shows_itself(self, bench: RunnersBench) -> None:
        """By a run record with its marker and its claim, before its agent acts."""
        attempt = bench.start()

        assert not attempt.ended()
        assert (bench.run().marker, bench.run().claim) == (bench.order.marker, bench.order.claim)
        attempt.close()

    def test_an_end_can_be_waited_for(self, bench: RunnersBench) -> None:
        """The descriptor becomes readable once the ending is there and the process is gone."""
        attempt = bench.start()
        early = readable(attempt.fileno(), timeout_s=0)
        bench.finish()

        assert (early, has_ended(attempt)) == ([], True)
        ending = bench.ending()
        assert ending is not None
        assert (ending.outcome.kind, ending.committed_by) == (OutcomeKind.SUCCEEDED, "runner")
        attempt.close()

    @pytest.mark.parametrize(
        ("how", "kind"), [(Stop.SUSPEND, OutcomeKind.INTERRUPTED), (Stop.CANCEL, OutcomeKind.CANCELLED)]
    )
    def test_a_runner_can_be_stopped(self, bench: RunnersBench, how: Stop, kind: OutcomeKind) -> None:
        """It ends by itself, with an ending that says why, and nothing of it is left."""
        attempt = bench.start()
        attempt.stop(how)

        assert has_ended(attempt)
        ending = bench.ending()
        assert ending is not None
        assert (ending.outcome.kind, bench.left()) == (kind, 0)
        attempt.close()

    def test_a_killed_runner_is_gone_with_its_tree(self, bench: RunnersBench) -> None:
        """At once, and without an ending: that is its worker's to write."""
        attempt = bench.start()
        attempt.kill()

        assert (has_ended(attempt), bench.left(), bench.ending()) == (True, 0, None)
        attempt.close()

    def test_a_runner_is_adopted_by_its_record(self, bench: RunnersBench) -> None:
        """What another daemon started can be waited for and stopped."""
        bench.start().close()
        adopted = bench.runners.adopt(bench.run())
        assert adopted is not None
        before = adopted.ended()
        adopted.stop(Stop.CANCEL)

        assert (before, has_ended(adopted)) == (False, True)
        adopted.close()

    def test_a_runner_that_has_ended_cannot_be_adopted(self, bench: RunnersBench) -> None:
        attempt = bench.start()
        run = bench.run()
        attempt.kill()
        attempt.close()

        assert bench.runners.adopt(run) is None

    def test_a_record_of_other_runners_is_adopted_by_none(self, bench: RunnersBench) -> None:
        """An owner that it did not make says nothing to it."""
        attempt = bench.start()
        run = bench.run()
        strange = RunRecord(run.task_id, run.attempt, run.marker, Owner("elsewhere", "x"), run.started_at)

        assert bench.runners.adopt(strange) is None
        attempt.close()

    def test_a_runner_is_found_by_its_marker(self, bench: RunnersBench) -> None:
        """Where no record can be read; another marker finds none."""
        bench.start().close()
        found = bench.runners.find(bench.order.marker)
        assert found is not None
        found.stop(Stop.SUSPEND)

        assert has_ended(found)
        assert bench.runners.find(bench.order.marker) is None
        assert bench.runners.find(f"{bench.order.marker}0") is None
        found.close()

    def test_what_a_dead_runner_left_is_swept(self, bench: RunnersBench) -> None:
        """Every process with its marker is ended, and counted; a second look finds none."""
        attempt = bench.start()
        bench.crash()
        assert has_ended(attempt)

        bench.runners.sweep(bench.order.marker)
        assert (bench.left(), bench.runners.sweep(bench.order.marker)) == (0, 0)
        attempt.close()

    def test_a_sweep_ends_what_runs(self, bench: RunnersBench) -> None:
        """The runner itself, too: recovery has given it up."""
        attempt = bench.start()

        assert bench.runners.sweep(bench.order.marker) >= 1
        assert (has_ended(attempt), bench.left()) == (True, 0)
        attempt.close()

    def test_a_runner_whose_attempt_was_given_up_never_acts(self, bench: RunnersBench) -> None:
        """It ends by itself, and leaves no ending."""
        bench.engine.attempts.abandon(bench.order.claim, now=bench.order.claim.started_at)
        attempt = bench.runners.start(bench.order)

        assert has_ended(attempt)
        assert (bench.acts(), bench.ending(), bench.run().abandoned) == (False, None, True)
        attempt.close()

    def test_a_runner_whose_claim_was_given_back_never_acts(self, bench: RunnersBench) -> None:
        """It was slow to start: another attempt may have the task by now."""
        claim = bench.order.claim
        bench.engine.queue.release(claim, Journal(claim.task_id))
        attempt = bench.runners.start(bench.order)

        assert has_ended(attempt)
        assert (bench.acts(), bench.ending(), bench.run().abandoned) == (False, None, False)
        attempt.close()
