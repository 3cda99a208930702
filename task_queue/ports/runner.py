"""The seam between the daemon and the processes that carry out attempts."""

from __future__ import annotations

from typing import Protocol

from task_queue.domain.document.ordering import Waiting
from task_queue.domain.document.settings import Settings
from task_queue.domain.model import Claim, Journal, RunRecord, WorkProduct
from task_queue.domain.task import Task
from task_queue.ports.attempt_log import AttemptPlace
from task_queue.ports.executor import Order, Stop


class RunningAttempt(Protocol):
    """A live runner, started here or adopted."""

    def fileno(self) -> int:
        """Becomes readable when the runner has ended (a pidfd)."""
        ...

    def ended(self) -> bool: ...

    def can_answer(self) -> bool:
        """Whether it can act on ``stop``: not while a signal, a debugger or its cgroup holds it still."""
        ...

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
        """What applies to a claimed task, also where the configuration lacks something for it by now.

        Raises TaskFileError where the document is not a valid task.
        """
        ...

    def check(self, task: Waiting) -> None:
        """Raises ExecutorError if *task*, and others like it, cannot be run now; asked before a claim."""
        ...

    def order_for(self, claim: Claim, task: Task, journal: Journal, place: AttemptPlace) -> Order:
        """Raises ExecutorError if no task can be run now, and if this task cannot be run NotConfiguredError (not by the
        configuration in force) or TaskFileError (by none)."""
        ...

    def compared(self, claim: Claim, task: Task, product: WorkProduct) -> WorkProduct:
        """*product* of an attempt whose runner died, with what changed meanwhile in the owner's repository."""
        ...

    def workspace_of(self, task: Task) -> str | None:
        """The directory that the task works in, None if it has none that can be used."""
        ...
