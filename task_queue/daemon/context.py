"""What a source's worker works with: the ports, and how long it waits for what."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from task_queue.daemon.quota import Quota
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.admission import Admission
from task_queue.ports.clock import Clock
from task_queue.ports.dedupe import Dedupe
from task_queue.ports.emit import Emit
from task_queue.ports.runner import Orders, Runners
from task_queue.ports.store import Engine


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a worker waits for what."""

    sweep_s: float = 30.0
    stop_grace_s: float = 30.0
    jitter: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """One source, and everything outside the worker that its tasks need on their way."""

    source: str
    """Its id."""
    engine: Engine
    runners: Runners
    orders: Orders
    admission: Admission
    dedupe: Dedupe
    clock: Clock
    emit: Emit
    state_of: Callable[[TaskId], TaskState | None]
    """The state of a task of any source."""
    timing: Callable[[], Timing]
    """As the configuration has it now."""
    quota: Quota = field(default_factory=Quota)
    is_new: Callable[[TaskId, int], bool] = lambda _task_id, _changed_ns: True
    """Whether no earlier daemon emitted ``TaskDropped`` for the document (see ``Survey.dropped``)."""
    on_change: Callable[[], None] = lambda: None
    """Called whenever what is shown of the worker may have changed."""
