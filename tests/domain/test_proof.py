"""Endings that their runner did not write, against fakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from task_queue.domain.attempt.proof import (
    is_signed_by_runner,
    new_token,
    proof_of,
    seal_of,
    sealed_by,
    signed,
    unsigned,
)
from task_queue.domain.attempt.results import bare_ending
from task_queue.domain.model import Claim, Ending, Outcome, OutcomeKind, RunRecord
from task_queue.domain.task import TaskId
from task_queue.ports.executor import Order
from task_queue.ports.runner import RunningAttempt
from tests.claims import OWNER
from tests.fakes import SUCCESS, Bench, EndedAttempt, FakeRunners

FAILED = Outcome(OutcomeKind.FAILED, "it did not work")


def ending_for(claim: Claim, bench: Bench, *, outcome: Outcome = SUCCESS, by: str = "runner") -> Ending:
    return bare_ending(claim, outcome, by=by, now=bench.clock.now())


class ForgingRunners(FakeRunners):
    """The agent writes an ending by itself and kills its runner."""

    by = "runner"
    shows_itself = True

    def start(self, order: Order) -> RunningAttempt:
        run = RunRecord(order.claim.task_id, 1, order.marker, OWNER, self.clock.now())
        if self.shows_itself:
            self.writer_of(order).show(run)
        forged = bare_ending(order.claim, SUCCESS, by=self.by, now=self.clock.now())
        self.engine.attempts.commit(order.claim, replace(forged, token="guessed"))
        return EndedAttempt()


@pytest.mark.parametrize("by", ["runner", "worker", "recovery", "somebody"])
def test_a_forged_success_is_a_crash(by: str) -> None:
    """Whoever it says it is from: without the token, and with nothing to rebuild it from."""
    bench = Bench()
    bench.runners = ForgingRunners(bench.engine, [], bench.clock)
    bench.runners.by = by
    bench.worker = bench.new_worker()
    bench.drop("task-a", "---\nmax_attempts: 1\n---\n# Do it")

    bench.turn()

    result = bench.engine.results[TaskId("task-a")]
    assert (result.success, result.outcome) == (False, OutcomeKind.CRASHED)
    assert any("was not written by the runner" in fact for fact in result.evidence)
    assert bench.engine.folders[TaskId("task-a"), 1].set_aside


def test_an_ending_forged_before_the_start_does_not_count() -> None:
    """No runner ever showed itself, so the task is given back as if nothing had been there."""
    bench = Bench()
    bench.runners = ForgingRunners(bench.engine, [], bench.clock)
    bench.runners.shows_itself = False
    bench.worker = bench.new_worker()
    bench.drop("task-a")

    bench.turn()

    assert TaskId("task-a") not in bench.engine.results
    assert not bench.engine.queue.claims()


def test_a_claim_without_a_proof_cannot_succeed() -> None:
    """Taking the proof out of a lock gains nothing; a failure of ours is believed all the same."""
    bench = Bench()
    bench.drop("task-a")
    claim = bench.engine.queue.claim(TaskId("task-a"), worker="w", now=bench.clock.now())
    bare = replace(claim, proof="")

    assert not is_signed_by_runner(bare, ending_for(claim, bench))
    assert not is_signed_by_runner(
        bare, replace(ending_for(claim, bench), token=bench.engine.queue.token_of(claim))
    )
    assert is_signed_by_runner(bare, ending_for(claim, bench, outcome=FAILED, by="recovery"))


def test_only_the_token_vouches_for_a_runner() -> None:
    """Not only for a success: an early failure would free the task while its agent still runs."""
    bench = Bench()
    bench.drop("task-a")
    claim = bench.engine.queue.claim(TaskId("task-a"), worker="w", now=bench.clock.now())
    token = bench.engine.queue.token_of(claim)

    assert proof_of(token) == claim.proof
    assert is_signed_by_runner(claim, replace(ending_for(claim, bench), token=token))
    assert not is_signed_by_runner(claim, ending_for(claim, bench, outcome=FAILED))
    assert is_signed_by_runner(claim, ending_for(claim, bench, outcome=FAILED, by="worker"))
    assert new_token() != token


@pytest.mark.parametrize(
    ("change", "believed"),
    [
        pytest.param(lambda lines: lines, 3, id="as they were"),
        pytest.param(lambda lines: [*lines[:2], lines[0], *lines[2:]], 2, id="one said twice"),
        pytest.param(lambda lines: [lines[1], lines[0]], 0, id="in another order"),
        pytest.param(lambda lines: [lines[0], lines[1].replace("1", "9"), lines[2]], 1, id="one changed"),
        pytest.param(lambda lines: [*lines, '{"step": "9", "signature": "guessed"}'], 3, id="one added"),
        pytest.param(lambda lines: [*lines[:1], "rubbish", *lines[1:]], 1, id="rubbish between"),
    ],
)
def test_a_seal_is_of_what_was_signed(change: Callable[[list[str]], list[str]], believed: int) -> None:
    """Whatever stands behind the first line that was not, and whatever is changed later, counts as not there."""
    lines = [signed(f'{{"step": "{number}"}}', "secret", number) for number in range(3)]
    seal = seal_of(change(lines), "secret")

    assert list(sealed_by(seal, change(lines))) == lines[:believed]
    assert list(sealed_by(seal_of(lines, "secret"), change(lines))) == (lines if believed == 3 else [])
    assert seal_of(lines, "") == ""
    assert unsigned(lines[0]) == '{"step": "0"}'


@pytest.mark.parametrize("left", [[], ['{"step": "prepared"}'], ['{"step": "prepared", "signature": "0"}']])
def test_where_nothing_was_signed_nothing_is_believed_later(left: list[str]) -> None:
    """The agent rewrote the file, or removed it to write another one later: that is not the same as no seal."""
    seal = seal_of(left, "secret")

    assert seal
    assert list(sealed_by(seal, ['{"step": "prepared"}'])) == []
