"""Random queues over several sources: what front ends say is next, and what real workers on real folders take.

The reader sees the disk only, as a command does. The worker and its engine are kept incremental: after the first
look they learn of changes by events alone, unless a queue asks for sweeps.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from task_queue.agents.project_settings import SettingsTrust
from task_queue.app.circumstances import Circumstances, listed
from task_queue.app.overview import source_view
from task_queue.config import document, schema
from task_queue.config.locations import Locations
from task_queue.config.source_settings import Source
from task_queue.daemon.admission import Bounds, SharedAdmission, SharedLimits
from task_queue.daemon.admission.account_file import AccountFile
from task_queue.daemon.admission.broken_bases import BrokenBases
from task_queue.daemon.admission.ledger import Ledger
from task_queue.daemon.context import SourceContext, Timing
from task_queue.daemon.cycles import SharedCycles
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.daemon.worker import Worker
from task_queue.domain import events
from task_queue.domain.attempt.account import Account
from task_queue.domain.model import Claim, Journal, Outcome, OutcomeKind
from task_queue.domain.task import Task, TaskId, TaskState
from task_queue.platform import durable
from task_queue.platform.records import encode
from task_queue.ports.attempt_log import AttemptPlace
from task_queue.ports.executor import Order
from task_queue.ports.runner import RunningAttempt
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.states import place_in, state_in
from task_queue.store.keyed_tasks import KeyedTasks
from task_queue.store.pauses import Pauses
from tests.fakes import FakeClock, FakeOrders, FakeRunners

SOURCES = ("a", "b", "c")
_NAMES = tuple(f"task-20260207-1100{number:02}-{letter}" for number, letter in enumerate("stuvwx"))
_SHM = Path("/dev/shm")
_MOST_TURNS = 200


@dataclass(frozen=True)
class Dropped:
    """One document, and how an attempt at it ends."""

    source: str
    name: str
    keys: dict[str, object]
    succeeds: bool
    late: bool
    """It comes while others run already."""


@dataclass(frozen=True)
class Random:
    """A queue before anything ran."""

    defaults: dict[str, object]
    of_sources: dict[str, dict[str, object]]
    paused: frozenset[str]
    tasks: tuple[Dropped, ...]
    ended: tuple[tuple[str, str, TaskState], ...]
    stopped: bool
    account_paused: bool
    swept: bool
    turns: tuple[str, ...]
    ageing: str | None = None


_DELAYS = st.sampled_from([-60, 45, 600])
_DEFAULTS = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(1, 9),
        "on_dependency_failure": st.sampled_from(["block", "fail", "run"]),
        "max_attempts": st.just(1),
        "executor": st.just("make"),
        "permissions": st.just("readonly"),
    },
)
_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(1, 9),
        "depends_on": st.lists(st.sampled_from(_NAMES), min_size=1, max_size=2, unique=True),
        "on_dependency_failure": st.sampled_from(["block", "fail", "run"]),
        "not_before": _DELAYS,
        "max_attempts": st.just(1),
        "executor": st.sampled_from(["claude", "make", "unknown"]),
        "permissions": st.sampled_from(["guarded", "readonly", "bypass"]),
        "workspace": st.sampled_from([".", ".", "/etc"]),
        "capabilities": st.sampled_from(["docker", "docker", "gpu"]),
        "timeout": st.sampled_from(["1h", "1h", "1h", "soon"]),
        "dedupe_key": st.sampled_from(["nightly", "content", "weekly"]),
    },
)
_RARELY = st.integers(0, 7).map(lambda number: number == 0)


def queues() -> st.SearchStrategy[Random]:
    tasks = st.lists(
        st.builds(Dropped, st.sampled_from(SOURCES), st.sampled_from(_NAMES), _KEYS, st.booleans(), _RARELY),
        min_size=1,
        max_size=7,
        unique_by=lambda task: (task.source, task.name),
    )
    ended = st.tuples(
        st.sampled_from(SOURCES),
        st.sampled_from((*_NAMES, *(f"{name}.2" for name in _NAMES))),
        st.sampled_from([TaskState.COMPLETED, TaskState.FAILED]),
    )
    return st.builds(
        Random,
        _DEFAULTS,
        st.fixed_dictionaries(dict.fromkeys(SOURCES, _DEFAULTS)),
        st.frozensets(st.sampled_from(SOURCES), max_size=1) | st.just(frozenset()),
        tasks.map(tuple),
        st.lists(ended, max_size=3, unique_by=lambda each: each[:2]).map(tuple),
        _RARELY,
        _RARELY,
        _RARELY,
        st.lists(st.sampled_from(SOURCES), max_size=12).map(tuple),
        st.sampled_from([None, "1s", "2s"]),
    )


@dataclass
class _Orders(FakeOrders):
    """Settings as the daemon finds them; the order itself goes nowhere."""

    configured: ConfiguredOrders = field(kw_only=True)

    def settings_of(self, task: Task) -> Any:
        return self.configured.settings_of(task)

    def order_for(self, claim: Claim, task: Task, journal: Journal, place: AttemptPlace) -> Order:
        order = super().order_for(claim, task, journal, place)
        return replace(order, document=Path(claim.document))


class _Runners(FakeRunners):
    succeeds: Callable[[str], bool]

    def start(self, order: Order) -> RunningAttempt:
        kind = OutcomeKind.SUCCEEDED if self.succeeds(order.claim.document) else OutcomeKind.FAILED
        self.outcomes = [Outcome(kind, "scripted")]
        return super().start(order)


class Queue:
    """A configuration, its folders, and a worker for each source; turned by hand."""

    def __init__(self, root: Path, queue: Random) -> None:
        self.queue = queue
        self.clock = FakeClock()
        self.locations = Locations(
            root / "config.json",
            root / "state",
            root / "run",
            root / "daemon.lock",
            root / "worktrees",
            root / "tmp",
            root / "documents",
        )
        self.locations.state_dir.mkdir()
        self.locations.config.write_text(json.dumps(self._content(root)))
        self.content = document.read(self.locations.config)
        self.config = schema.load(self.locations.config)
        self.engines: dict[str, FolderEngine] = {}
        self.workers: dict[str, Worker] = {}
        self.keyed = KeyedTasks()
        self.events: list[events.Event] = []
        if queue.stopped:
            self.locations.stopped.touch()
        if queue.account_paused:
            until = self.clock.time + timedelta(minutes=5)
            durable.replace(self.locations.accounts, encode(Account(until, "a limit", self.clock.time)))
        limits = SharedLimits(
            self.clock,
            Ledger(self.locations.ledger),
            broken_bases=BrokenBases(self.locations.broken_bases, lambda _: None),
            pauses=Pauses(self.locations.pauses),
        )
        self.admission = SharedAdmission(limits, AccountFile(self.locations.accounts), jitter=lambda: 0.0)
        layouts = {source.id: Layout(source.path) for source in self.config.sources}
        self.cycles = SharedCycles(lambda task_id: place_in(layouts, task_id), wake=lambda _: None)
        limits.configure(
            Bounds(
                places=9,
                starts_per_10min=10**6,
                closed=frozenset(source.id for source in self.config.sources if source.paused),
            )
        )
        limits.set_stopped(queue.stopped)
        for source in self.config.sources:
            self._serve(source)
        for source_id, name, state in queue.ended:
            (self.engines[source_id].layout.ended(state) / f"{name}.md").write_text("# Ended\n")
        for task in queue.tasks:
            if not task.late:
                self.drop(task)

    def drop(self, task: Dropped) -> None:
        path = self.engines[task.source].layout.pending / f"{task.name}.md"
        path.write_text(_document(task, self.clock.time))
        self.engines[task.source].touch(path.name)

    def told(self, source_id: str, *, see: Callable[[Circumstances], None]) -> list[tuple[TaskId, str]]:
        """What a command that reads now shows of *source_id*; *see* may spoil its eyes."""
        sources = tuple(listed(self.content, entry) for entry in document.sources_of(self.content))
        circumstances = Circumstances(
            sources, locations=self.locations, content=self.content, now=self.clock.time
        )
        see(circumstances)
        source = next(source for source in circumstances.sources if source.id == source_id)
        view = source_view(circumstances, source, waiting_shown=10**9)
        return [(task.task_id, task.why) for task in view.waiting]

    def taken(self, source_id: str) -> list[tuple[str, str]]:
        """What one turn of the worker did: ids of documents as they were dropped, and what became of each."""
        before = len(self.events)
        claimed: dict[TaskId, str] = {}
        if self.queue.swept:
            self.engines[source_id].touch()
        for engine in self.engines.values():
            engine.survey()  # each worker has looked at what was dropped
        self.workers[source_id].turn()
        done: list[tuple[str, str]] = []
        for event in self.events[before:]:
            match event:
                case events.TaskRejected():
                    done.append((event.task_id, "rejected"))
                case events.TaskClaimed():
                    done.append((self._dropped_as(event.task_id), "ran"))
                    claimed[event.task_id] = "ran"
                case events.TaskSettled() if event.task_id not in claimed:
                    dropped_as = self._dropped_as(event.task_id)
                    if not any(name == dropped_as for name, _ in done):
                        done.append((dropped_as, "doomed"))
                case _:
                    pass
        return done

    def close(self) -> None:
        for engine in self.engines.values():
            engine.close()

    def _dropped_as(self, record: TaskId) -> str:
        """The name without a number: no document is dropped with one."""
        return next(name for name in _NAMES if record == name or record.startswith(f"{name}."))

    def _content(self, root: Path) -> dict[str, object]:
        sources = [
            {
                "id": source,
                "path": str(root / source / "pending"),
                "defaults": self.queue.of_sources[source],
                "paused": source in self.queue.paused,
            }
            for source in SOURCES
        ]
        return {
            "version": "2.1",
            "project_workspace": str(root),
            "task_source_directories": sources,
            "defaults": self.queue.defaults,
            "capabilities": ["docker"],
            "limits": {"ageing": self.queue.ageing},
            "executors": {"make": {"kind": "command", "argv": ["make"]}},
        }

    def _serve(self, source: Source) -> None:
        configured = ConfiguredOrders(
            lambda: self.config,
            source,
            (),
            {},
            allowance=lambda _, _task_id, wanted: wanted,
            trust=SettingsTrust(self.locations.trusted_settings),
            worktrees=self.locations.worktrees,
            temporary=self.locations.temporary,
            documents=self.locations.documents,
        )
        engine = FolderEngine(
            source.path,
            settle_s=lambda: 0,
            layers=configured.layers,
            source=source.id,
            keyed=self.keyed,
            cycles=self.cycles.of(source.id),
        )
        runners = _Runners(engine, [], self.clock)
        runners.succeeds = lambda document: self._succeeds(source.id, document)
        self.engines[source.id] = engine
        self.workers[source.id] = Worker(
            SourceContext(
                source=source.id,
                engine=engine,
                runners=runners,
                orders=_Orders(configured=configured),
                admission=self.admission,
                state_of=lambda task_id: state_in(
                    (self.engines[each.id].layout for each in self.config.sources), task_id
                ),
                clock=self.clock,
                emit=self._note,
                dedupe=self.keyed,
                timing=lambda: Timing(jitter=lambda: 0.0),
            )
        )
        engine.open()

    def _succeeds(self, source_id: str, document_name: str) -> bool:
        return any(
            task.succeeds
            for task in self.queue.tasks
            if (task.source, f"{task.name}.md") == (source_id, document_name)
        )

    def _note(self, event: events.Event) -> None:
        """As the daemon does: what was settled in one source may free tasks of another."""
        self.events.append(event)
        if isinstance(event, events.TaskSettled):
            for engine in self.engines.values():
                engine.moved(event.task_id)


def run_as_told(queue: Random, *, see: Callable[[Circumstances], None] = lambda _: None) -> int:
    """Run *queue* to its end; raises AssertionError at the first task that was not told to be next.

    How many tasks were taken.
    """
    root = Path(tempfile.mkdtemp(prefix="tq-order-", dir=_SHM if _SHM.is_dir() else None))
    running = Queue(root, queue)
    try:
        return _run(running, queue, see)
    finally:
        running.close()
        shutil.rmtree(root)


def _run(running: Queue, queue: Random, see: Callable[[Circumstances], None]) -> int:
    turns, late, count, idle = list(queue.turns), [task for task in queue.tasks if task.late], 0, 0
    for turn in range(_MOST_TURNS):
        source = turns.pop(0) if turns else SOURCES[turn % len(SOURCES)]
        told = running.told(source, see=see)
        taken = running.taken(source)
        expected = _expected(told)

        assert sorted(taken) == sorted(expected), f"{source}: told {told}, taken {taken}"
        count += len(taken)
        idle = 0 if taken else idle + 1
        if late and idle:
            running.drop(late.pop())
            idle = 0
        elif idle > len(SOURCES) and not turns:
            if running.clock.time >= datetime(2026, 2, 7, 12, 30, tzinfo=UTC):
                return count
            running.clock.advance(300)
            idle = 0
    raise AssertionError("the queue did not come to rest")


def _expected(told: list[tuple[TaskId, str]]) -> list[tuple[str, str]]:
    """What the worker has to take now: all that is rejected, else the first that is to fail, else the next."""
    rejected = [(str(task_id), "rejected") for task_id, why in told if why.startswith("will be rejected: ")]
    if rejected:
        return rejected
    doomed = [(str(task_id), "doomed") for task_id, why in told if why.startswith("will fail: ")]
    ready = [(str(task_id), "ran") for task_id, why in told if why == "next"]
    return doomed[:1] or ready


def _document(task: Dropped, now: datetime) -> str:
    lines = ["---"]
    for key, value in task.keys.items():
        if key == "not_before" and isinstance(value, int):
            lines.append(f"{key}: {(now + timedelta(seconds=value)).isoformat()}")
        else:
            lines.append(f"{key}: {json.dumps(value) if isinstance(value, list) else value}")
    return "\n".join([*lines, "---", f"# {task.name}", ""]) if task.keys else f"# {task.name}\n"


EXAMPLES = int(os.environ.get("TASK_QUEUE_QUEUES", "200"))
