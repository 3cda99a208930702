"""The only seams: everything else calls what it needs directly.

``Engine`` keeps one source's tasks, ``Runners`` starts and watches attempts as processes, ``Executor``
carries out one attempt inside such a process, ``Clock`` tells the time, ``Emit`` tells what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from task_queue.domain.account import Account
from task_queue.domain.events import Event
from task_queue.domain.model import Claim, Ending, Journal, Outcome, Result, RunRecord, Work
from task_queue.domain.ordering import Waiting
from task_queue.domain.settings import Settings
from task_queue.domain.spending import Meter
from task_queue.domain.task import Task, TaskId

Emit = Callable[[Event], None]


class Clock(Protocol):
    """Time is told, never asked for by the domain."""

    def now(self) -> datetime:
        """Aware wall-clock time: to show, for ``not_before`` and for limits."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow and stand still while the machine sleeps: for deadlines."""
        ...


@dataclass(frozen=True, slots=True)
class Survey:
    """One look at a source."""

    waiting: tuple[Waiting, ...] = ()
    """Every task that is complete on disk and not claimed, in no particular order."""
    rejected: tuple[tuple[TaskId, str], ...] = ()
    """Documents that cannot be tasks, with the reason; they are to be claimed and settled as rejected."""
    ignored: tuple[tuple[str, str], ...] = ()
    """File names that are no tasks, with the reason."""
    cancelled: tuple[TaskId, ...] = ()
    """Waiting tasks with a request to cancel."""
    claimed: bool = False
    """Claims lie there. Whoever surveys works on none, so each is to be seen through."""
    look_again_after: float | None = None
    """Seconds until a document that is still being written may be complete."""


class Engine(Protocol):
    """Keeps one source's tasks and arbitrates who works on which. Safe to call from several processes.

    Every method may raise EngineUnavailable when the source cannot be read or written.
    """

    def open(self) -> None:
        """Become the one that serves this source, or make sure of still being it. Idempotent."""
        ...

    def touch(self) -> None:
        """Anything may have changed: the next survey looks at everything again."""
        ...

    def survey(self) -> Survey: ...

    def claim(self, task_id: TaskId, *, worker: str, now: datetime) -> Claim:
        """Take the waiting task whose document is called *task_id*; raises ClaimHeld if it is not to be had."""
        ...

    def token_of(self, claim: Claim) -> str:
        """What ``claim.proof`` was made from: known to the process that claimed, and to nobody after it."""
        ...

    def task(self, claim: Claim) -> Task:
        """The claimed document as it was at the claim; raises TaskFileError if it is no valid task."""
        ...

    def journal(self, claim: Claim) -> Journal: ...

    def claims(self) -> tuple[Claim, ...]:
        """Every claim that lies in the source, whoever holds it."""
        ...

    def claims_to_stop(self) -> tuple[Claim, ...]:
        """The same of a source that cannot be used now, but is nobody else's: what runs may be stopped all the same."""
        ...

    def run_of(self, claim: Claim) -> RunRecord | None: ...

    def abandon(self, claim: Claim, *, now: datetime) -> RunRecord:
        """Publish the tombstone unless a runner came first; return the record that stands."""
        ...

    def commit(self, claim: Claim, ending: Ending) -> Ending:
        """Record how the attempt ended; return the ending that stands (an earlier one wins)."""
        ...

    def ending_of(self, claim: Claim) -> Ending | None: ...

    def is_genuine(self, claim: Claim, ending: Ending) -> bool:
        """Whether *ending* is its runner's own or ours, as far as can be told."""
        ...

    def set_ending_aside(self, claim: Claim) -> None:
        """Keep the ending that lies there under another name: it is not what it claims to be."""
        ...

    def cancel_requested(self, claim: Claim) -> bool: ...

    def transcript(self, claim: Claim) -> Iterable[str]:
        """The lines of the attempt's transcript, as far as they were written; none if there is none."""
        ...

    def steps(self, claim: Claim) -> Sequence[str]:
        """The lines of the attempt's finished steps; none if there are none."""
        ...

    def may_have_acted(self, claim: Claim) -> bool:
        """Whether an agent may have worked on the attempt although no run record says so: then it left a
        transcript, or somebody deleted what would tell."""
        ...

    def document_is_gone(self, claim: Claim) -> bool:
        """Somebody deleted the document while the task ran."""
        ...

    def settle(self, claim: Claim, result: Result, report: str = "") -> None:
        """Record *result* and its *report* and move the task to its final place (``result.state``).

        Idempotent. Raises ClaimLost if *claim* is no longer ours.
        """
        ...

    def release(self, claim: Claim, journal: Journal) -> None:
        """Give the task back to pending with its history. Idempotent; raises ClaimLost."""
        ...

    def requeue(self, task_id: TaskId) -> None:
        """A person's retry: an ended task goes back to pending; raises UnknownTaskError."""
        ...

    def request_cancel(self, task_id: TaskId) -> None:
        """Ask that a waiting or running task be cancelled; raises UnknownTaskError."""
        ...


class Notes(Protocol):
    """What a daemon tells its successor of the claims of one source, where no task looks."""

    def claimed(self, claim: Claim) -> None: ...

    def over(self, claim: Claim) -> None:
        """Nothing is in hand under its number any more."""
        ...

    def confirm(self, claim: Claim) -> bool | None:
        """Whether it is the one that was noted under its number; None if none was."""
        ...


class Stop(StrEnum):
    """What an executor is asked to do before its end."""

    SUSPEND = "suspend"
    """End now, keep the session resumable (a stop or restart of ours)."""
    CANCEL = "cancel"
    """End for good (a person's wish)."""


@dataclass(frozen=True, slots=True)
class Order:
    """All that a runner needs to carry out one attempt; travels as JSON from the daemon to the runner."""

    claim: Claim
    source: str
    title: str
    body: str
    document: Path
    """Where the task's text lies for the agent to read (the snapshot, never the live document)."""
    attempt_dir: Path
    lock: Path
    queue_dirs: tuple[Path, ...]
    """Folders of the queue itself, which the agent must not touch."""
    workspace: Path
    settings: Settings
    executor: str
    """``claude`` or ``command``."""
    argv: tuple[str, ...] = ()
    """For ``command``: the configured program and its arguments, not yet filled in."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """The whole environment of the agent's process."""
    agent: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """For ``claude``: cli_path, setting_sources, account and the like."""
    interruption: str | None = None
    """For a continued session: how the earlier attempt ended."""
    spent_usd: float = 0.0
    """What earlier attempts of the task cost."""
    meter: Meter = field(default_factory=Meter)
    """Of the session, for a continued one."""
    turns_used: int = 0
    allowance_usd: float | None = None
    """What the day's budget still allows; None: no bound."""
    transcript_mb: int = 200
    """The transcript is not grown beyond this."""
    memory_mb: int | None = None
    """The process tree of the attempt is ended when it holds more."""
    steps: Mapping[int, str] = field(default_factory=dict[int, str])
    """Seals of what earlier attempts had finished."""
    notes: tuple[str, ...] = ()
    """For the result: what a person should know about how the attempt was set up."""
    token: str = ""
    """What the runner signs its ending with (``domain.proof``); before that on no disk and in no environment."""

    @property
    def marker(self) -> str:
        """Value of TASK_QUEUE_ATTEMPT in the environment of every process of this attempt."""
        return marker_of(self.source, self.claim)


def marker_of(source: str, claim: Claim) -> str:
    """What every process of the attempt carries, so that it can be found whatever else was lost."""
    return f"{source}:{claim.task_id}:{claim.attempt}:{claim.session_id}"


class Transcript(Protocol):
    """The attempt's ``transcript.jsonl``, written as it happens."""

    def write(self, direction: str, raw: Mapping[str, Any] | str) -> None:
        """Append one envelope; *direction* is ``in`` (from the agent), ``out`` (to it), ``err`` or ``note``."""
        ...


class Executor(Protocol):
    """Carries out one attempt, in the runner's process and thread.

    Called once. Returns when nothing of the agent is in motion any more, as far as it can tell; the
    runner ends whatever is left. Raises ExecutorError when the agent could not be driven at all.
    """

    def execute(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]: ...

    def stop(self, how: Stop) -> None:
        """Ask a running ``execute`` to end soon; called from a signal handler of the same thread."""
        ...


class RunningAttempt(Protocol):
    """A live runner, started here or adopted."""

    def fileno(self) -> int:
        """Becomes readable when the runner has ended (a pidfd)."""
        ...

    def ended(self) -> bool: ...

    def stop(self, how: Stop) -> None: ...

    def kill(self) -> None:
        """End the runner and everything that carries the attempt's marker; returns when it is gone."""
        ...

    def close(self) -> None: ...


class Runners(Protocol):
    """Starts and finds the processes that carry out attempts."""

    def start(self, order: Order) -> RunningAttempt:
        """Raises ExecutorError."""
        ...

    def adopt(self, run: RunRecord) -> RunningAttempt | None:
        """The runner that *run* names if it is alive, else None."""
        ...

    def find(self, marker: str) -> RunningAttempt | None:
        """The runner of the attempt that *marker* names if it is alive: for when no run record can be read."""
        ...

    def sweep(self, marker: str) -> int:
        """End every process that carries *marker* and wait until none is left; how many there were."""
        ...


class Orders(Protocol):
    """Turns a claimed task into what its runner needs, according to the configuration in force."""

    def settings_of(self, task: Task) -> Settings:
        """Raises TaskFileError where the layers do not fit together."""
        ...

    def check(self, executor: str) -> None:
        """Raises ExecutorError if no task of that executor can be run now; asked before a claim."""
        ...

    def order_for(self, claim: Claim, task: Task, journal: Journal) -> Order:
        """Raises TaskFileError if this task cannot be run, ExecutorError if no task can be run now."""
        ...

    def workspace_of(self, claim: Claim) -> str | None:
        """The directory that the task works in, None if that cannot be told."""
        ...


class Gate(Protocol):
    """What all sources share: places for agents, the account, budgets, room on the disk."""

    def screen(self, source: str) -> Callable[[Waiting], str | None] | None:
        """Says of a task why it is held back while others of *source* may pass; None if none is."""
        ...

    def enter(self, source: str, task: Waiting, ring: Callable[[], None]) -> str | None:
        """Take a place for one attempt; or say why there is none, and call *ring* when that may have changed."""
        ...

    def count_in(self, source: str, wanted_usd: float | None) -> None:
        """Let the attempt that an earlier daemon started in *source* take a place, be one free or not.

        It may still spend *wanted_usd*, None: whatever the day's budget leaves.
        """
        ...

    def leave(self, source: str) -> None: ...

    def pause(self, why: str, until: datetime | None) -> datetime:
        """Let nothing start on the account; returns until when (a guess where *until* is unknown)."""
        ...

    def is_probing(self, source: str) -> bool:
        """Whether the attempt that runs in *source* tries an account that was paused."""
        ...

    def account_works(self) -> None:
        """That attempt got an answer: the others may go on."""
        ...

    def ended(self, source: str, claim: Claim, ending: Ending) -> None:
        """Take note of what an attempt cost and showed. Idempotent."""
        ...


class AccountStore(Protocol):
    """Keeps the account's state; a person opens the account by removing what is kept."""

    def load(self) -> Account:
        """An open account if nothing is kept, or nothing readable."""
        ...

    def save(self, account: Account) -> None: ...

    def exists(self) -> bool: ...


class Spending(Protocol):
    """What was spent, in USD, an attempt once."""

    def enter(
        self, source: str, task_id: str, attempt: int, usd: float, *, at: datetime, estimated: float = 0.0
    ) -> None:
        """*estimated* is how much of it is not known for sure. Raises OSError if it cannot be kept."""
        ...

    def spent_on(self, day: date, source: str | None = None) -> float:
        """USD of a local *day*, of one source or of all."""
        ...
