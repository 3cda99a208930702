"""Tasks that came in on other hosts of a fleet and cannot begin on this one, while the rest of their source goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from task_queue.domain.task import TaskId
from task_queue.ports.clock import Clock

TRIED_AGAIN_AFTER_S = 60.0


@dataclass(slots=True)
class LeftToOthers:
    """Of one source on this host."""

    clock: Clock
    broken: dict[TaskId, str] = field(default_factory=dict[TaskId, str])
    """Those that no host can begin, and why: to be ended."""
    _hosts: dict[str, tuple[float, str]] = field(default_factory=dict[str, tuple[float, str]])
    _tasks: dict[TaskId, str] = field(default_factory=dict[TaskId, str])
    """By which host they came in."""

    def note_host(self, host: str, why: str) -> None:
        """What came in on *host* cannot begin here for a while."""
        self._hosts[host] = (self.clock.monotonic() + TRIED_AGAIN_AFTER_S, why)

    def why_not(self, host: str) -> str | None:
        until, why = self._hosts.get(host, (0.0, ""))
        return why if self.clock.monotonic() < until else None

    def leave(self, task_id: TaskId, host: str) -> None:
        """It came in on *host*, for which there is a reason."""
        self._tasks[task_id] = host

    def now(self) -> Mapping[TaskId, str]:
        """Those that are left, and why."""
        self._tasks = {task: host for task, host in self._tasks.items() if self.why_not(host) is not None}
        return {task: self._hosts[host][1] for task, host in self._tasks.items()}
