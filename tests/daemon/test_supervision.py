"""What a worker does while a runner runs: every way in which that waiting ends. With a clock that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from task_queue.daemon.context import Timing
from task_queue.daemon.runner_wait import CANCEL_GRACE_S
from task_queue.daemon.supervision import Supervision
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.errors import ExecutorError
from task_queue.domain.events import Event
from task_queue.domain.model import Claim, Ending, Outcome, OutcomeKind, Pause, Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.executor import Stop
from tests.admission import FakeAdmission
from tests.fakes import SUCCESS, FakeClock, FakeOrders, source_context
from tests.running import FakeProcess, FakeWait, LiveRunners, ignores
from tests.store.memory import MemoryEngine

SWEEP_S = 30.0
STOP_GRACE_S = 20.0
TIMEOUT_S = 600.0
BACKSTOP_S = 300.0
"""What a runner may take beyond the task's own time-out."""
TASK = TaskId("task-a")
TEXT = "---\ntimeout: 10m\n---\n# Do it"
COMMAND = "---\nexecutor: make\ntimeout: 10m\n---\nall"
ANSWER: dict[str, object] = {"type": "assistant", "message": {"id": "m1", "role": "assistant", "content": []}}


class Bench:
    """A supervision on a memory engine, whose runners end when the test says so."""

    def __init__(self, text: str = TEXT) -> None:
        self.clock = FakeClock()
        self.engine = MemoryEngine()
        self.runners = LiveRunners(self.engine.writer, self.clock)
        self.admission = FakeAdmission(self.clock)
        self.orders = FakeOrders()
        self.wait = FakeWait(self.clock)
        self.events: list[Event] = []
        self.is_stopping = self.is_at_once = False
        self.meanwhile = 0
        self.supervision = self.restarted()
        self.engine.add(TASK, text)
        self.claim = self.claimed()

    def restarted(self) -> Supervision:
        """As after a restart of the daemon: what it remembered is gone, runners go on."""
        context = source_context(
            self.engine,
            self.runners,
            self.admission,
            self.clock,
            orders=self.orders,
            emit=self.events.append,
            timing=lambda: Timing(SWEEP_S, STOP_GRACE_S, jitter=lambda: 0.0),
        )
        return Supervision(
            context,
            wakeup=self.wait,
            stopping=lambda: self.is_stopping,
            at_once=lambda: self.is_at_once,
            meanwhile=self._note_meanwhile,
        )

    def claimed(self) -> Claim:
        return self.engine.queue.claim(TASK, worker="test", now=self.clock.now())

    def run(self, *script: Callable[[], object]) -> None:
        """An attempt from its start to its end; at each wait the next of *script* happens."""
        self.wait.script = list(script)
        self.supervision.start(self.claim)
        self.supervision.conclude(self.claim, runner_ended=True)

    def left_running(self) -> None:
        """An attempt that an earlier daemon started."""
        place = self.engine.place_of(self.claim)
        order = self.orders.order_for(
            self.claim, self.engine.queue.task(self.claim), self.engine.queue.journal(self.claim), place
        )
        order = replace(order, token=self.engine.queue.token_of(self.claim))
        self.runners.start(order).close()

    def tries_the_account(self) -> None:
        """The pause is over, and the attempt of this source is the first after it."""
        self.admission.pause(Pause("usage limit", self.clock.now()))
        task = Waiting(TASK, self.clock.now(), priority=5, executor="claude")
        assert self.admission.enter("test", task, lambda: None) is None

    def cancel(self) -> None:
        self.engine.requests.request_cancel(TASK)

    def stop(self) -> None:
        self.is_stopping = True

    def stop_now(self) -> None:
        self.is_stopping = self.is_at_once = True

    def say(self, *frames: dict[str, object], direction: str = "in") -> None:
        """What the agent's session shows in its transcript."""
        transcript = self.process.writer.transcript(limit_mb=1, secrets=())
        for frame in frames:
            transcript.write(direction, frame)

    def done(self) -> None:
        """The command has ended well, and its runner vouches for that; it has not committed it yet."""
        token = self.process.order.token
        self.say({"type": "exit", "code": 0}, {"type": "vouched", "token": token}, direction="note")

    @property
    def process(self) -> FakeProcess:
        return self.runners.last

    @property
    def ending(self) -> Ending:
        ending = self.engine.attempts.ending_of(self.claim)
        assert ending is not None
        return ending

    @property
    def result(self) -> Result:
        return self.engine.results[TASK]

    @property
    def state(self) -> TaskState | None:
        return self.engine.state_of(TASK)

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def counted(self) -> list[bool]:
        """Of the attempts of the task that was given back."""
        return [attempt.counted for attempt in self.engine.queue.journal(self.claimed()).attempts]

    def _note_meanwhile(self) -> None:
        self.meanwhile += 1


def test_an_attempt_that_ends_by_itself_is_not_disturbed() -> None:
    """However long it takes within its time; what need not wait for it is done at every wake-up."""
    bench = Bench()

    bench.run(lambda: None, lambda: None, lambda: bench.process.end(SUCCESS))

    assert (bench.state, bench.result.success) == (TaskState.COMPLETED, True)
    assert (bench.process.asked, bench.process.was_killed) == ([], False)
    assert (bench.meanwhile, bench.wait.waits) == (3, [SWEEP_S] * 3)


def test_a_runner_that_dies_is_a_crash_and_its_tree_is_ended() -> None:
    """What it left running would go on in the workspace beside the next attempt."""
    bench = Bench()

    def die() -> None:
        bench.process.left = 2
        bench.process.end()

    bench.run(die)

    assert (bench.ending.outcome.kind, bench.process.left) == (OutcomeKind.CRASHED, 0)
    assert "2 left-over processes were ended" in bench.ending.outcome.evidence[0]
    assert bench.state is TaskState.PENDING


def test_a_cancelled_attempt_is_asked_to_end() -> None:
    """Once, and for good; its own ending stands."""
    bench = Bench()

    bench.run(lambda: None, bench.cancel)

    assert (bench.process.asked, bench.process.was_killed) == ([Stop.CANCEL], False)
    assert (bench.ending.committed_by, bench.result.outcome) == ("runner", OutcomeKind.CANCELLED)
    assert bench.state is TaskState.FAILED


def test_an_attempt_that_ignores_a_cancel_is_killed_after_its_grace() -> None:
    """Not before; it had the whole of that time to end in good order."""
    bench = Bench()
    bench.runners.on_stop = ignores

    bench.run(bench.cancel)

    assert bench.clock.monotonic() == CANCEL_GRACE_S
    assert (bench.process.asked, bench.process.was_killed) == ([Stop.CANCEL], True)
    assert (bench.ending.committed_by, bench.ending.outcome.reason) == ("worker", "cancelled while it ran")
    assert (bench.state, bench.result.outcome) == (TaskState.FAILED, OutcomeKind.CANCELLED)


def test_a_stopped_attempt_is_suspended_and_given_back() -> None:
    """Uncounted, and its session is continued."""
    bench = Bench()

    bench.run(lambda: None, bench.stop)

    assert (bench.process.asked, bench.process.was_killed) == ([Stop.SUSPEND], False)
    assert (bench.state, bench.ending.outcome.kind) == (TaskState.PENDING, OutcomeKind.INTERRUPTED)
    assert bench.counted() == [False]


def test_an_attempt_that_ignores_a_stop_is_killed_after_its_grace() -> None:
    """The wait is as short as the grace: a sweep would come too late."""
    bench = Bench()
    bench.runners.on_stop = ignores

    bench.run(bench.stop)

    assert (bench.clock.monotonic(), bench.wait.waits) == (STOP_GRACE_S, [SWEEP_S, STOP_GRACE_S])
    assert (bench.process.asked, bench.process.was_killed) == ([Stop.SUSPEND], True)
    assert (bench.state, bench.ending.outcome.reason) == (TaskState.PENDING, "the queue was stopped")
    assert bench.counted() == [False]


def test_a_runner_that_ends_within_its_grace_is_not_killed() -> None:
    """Its own ending says more than ours would."""
    bench = Bench()
    bench.runners.on_stop = ignores

    bench.run(bench.stop, lambda: bench.clock.advance(STOP_GRACE_S - 1), lambda: bench.process.end(SUCCESS))

    assert (bench.process.was_killed, bench.state) == (False, TaskState.COMPLETED)


def test_a_stop_now_kills_at_once() -> None:
    """No grace at all."""
    bench = Bench()
    bench.runners.on_stop = ignores

    bench.run(bench.stop_now)

    assert (bench.process.was_killed, bench.clock.monotonic()) == (True, 0.0)
    assert (bench.state, bench.ending.outcome.kind) == (TaskState.PENDING, OutcomeKind.INTERRUPTED)


def test_a_runner_that_outlives_its_time_is_killed() -> None:
    """The runner's own time-out failed; it is not asked any more."""
    bench = Bench()

    bench.run()

    assert bench.clock.monotonic() == TIMEOUT_S + BACKSTOP_S
    assert (bench.process.asked, bench.process.was_killed) == ([], True)
    assert (bench.ending.outcome.kind, bench.ending.committed_by) == (OutcomeKind.TIMED_OUT, "worker")
    assert bench.counted() == [True]


def test_a_stop_after_a_cancel_changes_nothing() -> None:
    """A person's word stands, and its grace is not begun anew."""
    bench = Bench()
    bench.runners.on_stop = ignores

    bench.run(bench.cancel, bench.stop_now)

    assert (bench.process.asked, bench.clock.monotonic()) == ([Stop.CANCEL], CANCEL_GRACE_S)
    assert bench.result.outcome is OutcomeKind.CANCELLED


def test_a_cancel_during_a_stop_ends_the_task() -> None:
    """It is suspended, and then not given back: a person has given it up."""
    bench = Bench()
    bench.runners.on_stop = ignores

    bench.run(bench.stop, bench.cancel)

    assert bench.process.asked == [Stop.SUSPEND]
    assert (bench.state, bench.result.outcome) == (TaskState.FAILED, OutcomeKind.CANCELLED)


def test_an_agent_that_had_finished_when_it_was_killed_has_succeeded() -> None:
    """Its end is in the transcript; to run it again would do the work twice."""
    bench = Bench(COMMAND)
    bench.runners.on_stop = ignores

    bench.run(bench.done, bench.stop_now)

    assert bench.process.was_killed
    assert (bench.state, bench.result.outcome) == (TaskState.COMPLETED, OutcomeKind.SUCCEEDED)


@pytest.mark.parametrize("how", ["cancelled", "overdue"])
def test_an_end_that_came_too_late_does_not_undo_a_cancel_or_a_time_out(how: str) -> None:
    """Only our own stop may be answered with the agent's success."""
    bench = Bench(COMMAND)
    bench.runners.on_stop = ignores

    bench.run(bench.done, *([bench.cancel] if how == "cancelled" else []))

    expected = OutcomeKind.CANCELLED if how == "cancelled" else OutcomeKind.TIMED_OUT
    assert (bench.process.was_killed, bench.ending.outcome.kind) == (True, expected)


def test_a_command_that_was_killed_goes_to_a_person() -> None:
    """It has no session to continue, and is never silently run again."""
    bench = Bench(COMMAND)
    bench.runners.on_stop = ignores

    bench.run(bench.stop_now)

    assert (bench.ending.outcome.lost_session, bench.state) == (True, TaskState.FAILED)


def test_the_first_answer_opens_an_account_that_was_tried() -> None:
    """Others need not wait for the end of the attempt that tries it; before the answer they do."""
    bench = Bench()
    bench.tries_the_account()
    seen: list[bool] = []

    def look() -> None:
        seen.append(bench.admission.is_probing("test", TaskId("task-x")))

    bench.run(look, lambda: bench.say(ANSWER), look, lambda: bench.process.end(SUCCESS))

    assert (seen, bench.admission.log.count("account_works")) == ([True, False], 1)


def test_an_account_that_is_not_tried_is_left_alone() -> None:
    bench = Bench()

    bench.run(lambda: bench.say(ANSWER), lambda: None, lambda: bench.process.end(SUCCESS))

    assert "account_works" not in bench.admission.log


def test_a_runner_that_cannot_be_started_gives_its_task_back() -> None:
    """Uncounted, and the worker is told."""
    bench = Bench()
    bench.runners.refusal = ExecutorError("no runner could be started")

    with pytest.raises(ExecutorError):
        bench.run()

    assert bench.state is TaskState.PENDING
    assert bench.counted() == [False]


def test_a_runner_of_an_earlier_daemon_is_waited_for() -> None:
    """It takes a place meanwhile, and leaves it."""
    bench = Bench()
    bench.left_running()
    bench.wait.script = [lambda: None, lambda: bench.process.end(SUCCESS)]

    bench.restarted().conclude(bench.claim)

    assert (bench.state, len(bench.runners.processes)) == (TaskState.COMPLETED, 1)
    assert (bench.admission.log, bench.admission.inside) == (["count_in", "leave"], set())
    assert bench.kinds[0] == "TaskAdopted"


def test_a_runner_of_an_earlier_daemon_can_be_cancelled() -> None:
    """A request that was made while no daemon ran, too."""
    bench = Bench()
    bench.left_running()
    bench.cancel()

    bench.restarted().conclude(bench.claim)

    assert (bench.process.asked, bench.result.outcome) == ([Stop.CANCEL], OutcomeKind.CANCELLED)


def test_a_runner_of_an_earlier_daemon_has_its_time_too() -> None:
    """From now on: how long it ran before is not known for sure."""
    bench = Bench()
    bench.left_running()
    bench.clock.advance(1000)

    bench.restarted().conclude(bench.claim)

    assert bench.clock.monotonic() == 1000 + TIMEOUT_S + BACKSTOP_S
    assert (bench.process.was_killed, bench.ending.outcome.kind) == (True, OutcomeKind.TIMED_OUT)


def test_what_runs_in_a_source_that_cannot_be_used_is_stopped() -> None:
    """Nothing is decided about it: its claim stays for later."""
    bench = Bench()
    bench.left_running()
    bench.stop()

    bench.restarted().suspend(bench.claim)

    assert (bench.process.asked, bench.process.runs) == ([Stop.SUSPEND], False)
    assert bench.engine.queue.claims() == (bench.claim,)


def test_a_runner_that_came_too_late_does_nothing() -> None:
    """Recovery gave the attempt up: the task is given back uncounted, and nothing acts on it."""
    bench = Bench()
    bench.engine.attempts.abandon(bench.claim, now=bench.clock.now())

    bench.run()

    assert (bench.process.runs, bench.wait.waits) == (False, [])
    assert (bench.state, bench.counted()) == (TaskState.PENDING, [False])


def test_time_that_the_clock_was_set_by_is_no_time() -> None:
    """Deadlines are on the monotonic clock."""
    bench = Bench()

    def set_clock() -> None:
        bench.clock.time += timedelta(days=1)

    bench.run(set_clock, lambda: bench.process.end(SUCCESS))

    assert (bench.process.was_killed, bench.state) == (False, TaskState.COMPLETED)


def test_an_outcome_of_the_runner_that_was_committed_before_the_kill_stands() -> None:
    """The first ending is the ending."""
    bench = Bench()
    bench.runners.on_stop = lambda process, _: commit_and_go_on(process)

    bench.run(bench.cancel)

    assert (bench.process.was_killed, bench.state) == (True, TaskState.COMPLETED)


def commit_and_go_on(process: FakeProcess) -> None:
    process.end(Outcome(OutcomeKind.SUCCEEDED, "done"))
    process.runs = True
