"""The sources that workers serve, while the process of the API lives: opened, watched, swept and closed.

One thread waits for what happens (files, leases, times) and acts on it; so a cancelled task is settled, and a lease
that is over is acted on, also where no worker asks. It blocks in between: nothing polls.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from task_queue.agents.project_settings import SettingsTrust
from task_queue.config import schema
from task_queue.config.locations import Locations, demand_trust
from task_queue.config.source_settings import Source
from task_queue.daemon.admission.bounds import bounds_of
from task_queue.daemon.admission.configured import limits_for
from task_queue.daemon.admission.running import RunningPlaces, RunningTasks
from task_queue.daemon.context import SourceContext, Timing
from task_queue.daemon.cycles import SharedCycles
from task_queue.daemon.drops import Drops
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.daemon.watcher import Watcher
from task_queue.dispatch.accounts import WorkerAccounts
from task_queue.dispatch.claim_ids import claim_id_in
from task_queue.dispatch.claims import LeasedClaims
from task_queue.dispatch.finishing import HandedInWork
from task_queue.dispatch.leased_source import LeasedSource
from task_queue.dispatch.out_of_sight import OrdersOfWorkers, RunnersOutOfSight
from task_queue.dispatch.rules import ConfiguredRules
from task_queue.dispatch.said import said_of
from task_queue.domain.errors import ConfigError
from task_queue.domain.events import Event, SourceClosed, SourceDrained, SourceOpened, TaskSettled
from task_queue.domain.model import Result
from task_queue.domain.source_pause import SourcePauseState
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable
from task_queue.platform.wakeup import Wakeup
from task_queue.ports.clock import Clock
from task_queue.store.event_log import EventLog
from task_queue.store.folder.amending import result_in
from task_queue.store.folder.claim_notes import ClaimNotes
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.leased import LeasedAttempts
from task_queue.store.folder.states import place_in, state_in
from task_queue.store.keyed_tasks import KeyedTasks
from task_queue.store.pauses import Pauses

log = logging.getLogger(__name__)
_LONGEST_WAIT_FOR_A_TIME_S = 60.0
_LOOK_WITHOUT_SOURCES_EVERY_S = 60.0
"""The configuration may list one by then; a worker that asks is not kept waiting for that (``refresh``)."""
_LOOK_WHILE_HELD_S = 2.0


@dataclass(frozen=True, slots=True)
class _OpenedSource:
    source: Source
    engine: FolderEngine


class WorkerSources:
    """``claims`` is for any thread. *changed* is called, from any thread, when another claim may be possible."""

    def __init__(
        self,
        locations: Locations,
        *,
        clock: Clock,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Raises ConfigError."""
        self._locations = locations
        self._clock = clock
        self._changed = changed
        self._seen: tuple[int, int, int, int] | None = _stamp_of(locations.config)
        demand_trust(locations)
        self._config = schema.load(locations.config)
        self._events = EventLog(locations.events)
        self._pauses = Pauses(locations.pauses)
        self._keyed = KeyedTasks(self._look)
        self._cycles = SharedCycles(self._place_of, wake=self._look, all_seen=self._keyed.all_seen)
        self._keyed.when_all_seen(self._cycles.judge)
        self._notes = ClaimNotes(locations.leased_claims)
        self._drops = Drops(locations.leased_drops, locations.events)
        self._trust = SettingsTrust(locations.trusted_settings)
        self._sources: dict[str, LeasedSource] = {}
        self._opened: dict[str, _OpenedSource] = {}
        self._orders: dict[str, ConfiguredOrders] = {}
        places = RunningPlaces(
            locations.leased_running, locations.running, locations.running_lock, survives_boot=True
        )
        self._limits = limits_for(
            locations, lambda: self._config, clock=clock, running=RunningTasks(places), emit=self._events.emit
        )
        self._resumed: dict[str, str] = {}
        """When a person last let each source go on."""
        self._rules = ConfiguredRules(
            locations,
            lambda: self._config,
            self._sources,
            self._orders,
            self._limits,
            environ=os.environ,
        )
        self._accounts = WorkerAccounts(self._limits)
        self.claims = LeasedClaims(self._sources, self._rules, self._accounts, clock)
        self._handed_in = HandedInWork(
            lambda: self.claims.lock, self._orders, self._artifact, self._look_again
        )
        self._watcher = Watcher(self._look_at, self._events.emit)
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._state: dict[str, Any] = {}
        self._fetching: dict[str, dict[str, str | None]] = {}
        """For each source, which workers asked that fetch its repository, and which that do not: its name then."""
        self._thread = threading.Thread(target=self._serve, name="leases", daemon=True)

    def start(self) -> None:
        """Serve until ``stop``."""
        self._apply()
        self._thread.start()

    def stop(self) -> None:
        """Hand nothing out any more. What workers hold they hold on: the next process goes on with it."""
        self._stopping.set()
        self._wakeup.wake()
        self._thread.join()
        self._handed_in.stop()
        self._watcher.close()
        with self.claims.lock:
            for source_id in list(self._sources):
                self._close(source_id)
        self._drops.save()
        self._events.close()

    def refresh(self) -> None:
        """Serve what the configuration lists by now, as people let it."""
        self._look_at_people()
        stamp = _stamp_of(self._locations.config)
        if stamp == self._seen:
            return
        try:
            demand_trust(self._locations)
            config = schema.load(self._locations.config)
        except ConfigError as error:
            log.warning("configuration not reloaded, the earlier one stays in force error=%s", error)
            self._seen = stamp
            return
        with self.claims.lock:
            self._config = config
            self._apply()
            self._seen = stamp

    def described(self) -> dict[str, dict[str, Any]]:
        """What front ends show of each source, by its id."""
        with self.claims.lock:
            return {
                source.id: said_of(source, self._limits, self._fetching.get(source.id, {}))
                for source in self._sources.values()
            }

    def _look_at_people(self) -> None:
        """One may have let a source go on that the breaker had stopped."""
        with self.claims.lock:
            for source_id in self._sources:
                resumed = self._pauses.resumed(source_id)
                if self._resumed.setdefault(source_id, resumed) != resumed:
                    self._resumed[source_id] = resumed
                    self._limits.resumed(source_id)

    def write_base(self, claim_id: str, worker: str | None, file: Path, have: Sequence[str]) -> bool:
        """As ``ConfiguredRules.base_of``; of a live claim, raises as ``claims.demand_held``."""
        epoch = claim_id_in(claim_id).attempt
        source_id, task_id = self.claims.demand_held(claim_id, epoch=epoch, worker=worker)
        return self._rules.base_of(source_id, task_id, file, have)

    def note_fetching(self, source_id: str, worker: str, lacks: str | None) -> None:
        """*worker* would carry out a task of the source; *lacks*: but for the repository of that name."""
        asked = self._fetching.setdefault(source_id, {})
        if asked.get(worker, "") != lacks:
            asked[worker] = lacks
            self._wakeup.wake()

    def _serve(self) -> None:
        swept = self._clock.monotonic()
        while not self._stopping.is_set():
            try:
                self.refresh()
                now = self._clock.monotonic()
                if now >= swept + self._config.sweep_seconds:
                    swept = now
                    self._watcher.check()
                    self._touch_all()
                self._limits.look_at_others()
                wait_s = self.claims.sweep()
                self._note_drained()
                self._write_state()
                if self._is_held:
                    wait_s = min(_LOOK_WHILE_HELD_S, _LOOK_WHILE_HELD_S if wait_s is None else wait_s)
            except Exception:  # the queue has a defect: said, and the other requests are answered
                log.exception("sources of workers not looked at")
                wait_s = None
            self._changed()
            self._wakeup.wait(self._longest_rest_s(swept, wait_s))

    def _longest_rest_s(self, swept: float, wait_s: float | None) -> float:
        """*wait_s*: until something is due by itself. Where nothing is served, a worker's question is what counts."""
        if not self._sources:
            return _LOOK_WITHOUT_SOURCES_EVERY_S
        rest_s = max(0.0, swept + self._config.sweep_seconds - self._clock.monotonic())
        return rest_s if wait_s is None else min(rest_s, wait_s, _LONGEST_WAIT_FOR_A_TIME_S)

    @property
    def _is_held(self) -> bool:
        """Something waits for what only another process, a person or the time says."""
        return any(source["holds"] is not None for source in self._state.get("sources", {}).values())

    def _touch_all(self) -> None:
        with self.claims.lock:
            for source in self._opened.values():
                source.engine.touch()

    def _note_drained(self) -> None:
        with self.claims.lock:
            without_claims = [source.id for source in self._sources.values() if not source.held]
        for source_id in without_claims:
            pause = self._pauses.of(source_id)
            if pause is None or pause.state is not SourcePauseState.DRAINING:
                continue
            self._events.emit(SourceDrained(source_id))
            try:
                self._pauses.note_drained(source_id, pause)
            except OSError as error:  # tried again at the next look
                log.warning("end of draining not noted source=%s error=%s", source_id, error)

    def _write_state(self) -> None:
        """Publish what front ends show of these sources, when it changed."""
        state = {"schema_version": 1, "pid": os.getpid(), "sources": self.described()}
        if state == self._state:
            return
        try:
            durable.replace(self._locations.dispatch_state, json.dumps(state).encode() + b"\n")
        except OSError as error:
            log.warning("state file not written path=%s error=%s", self._locations.dispatch_state, error)
            return
        self._state = state

    def _apply(self) -> None:
        wanted = {source.id: source for source in self._config.sources if source.is_remote}
        self._limits.configure(bounds_of(self._config), serves=wanted)
        for source_id, opened in list(self._opened.items()):
            source = wanted.get(source_id)
            if source is None or source.path != opened.source.path:
                self._watcher.unwatch(source_id)
                self._close(source_id)
        for source_id, source in wanted.items():
            if source_id not in self._sources:
                self._open(source)
        self._wakeup.wake()

    def _close(self, source_id: str) -> None:
        self._handed_in.forget(source_id)
        del self._sources[source_id]
        self._opened.pop(source_id).engine.close()
        self._orders.pop(source_id)
        self._keyed.forget(source_id)
        self._cycles.discard_all(source_id)
        self._fetching.pop(source_id, None)
        self._limits.forget(source_id)
        self._note(SourceClosed(source_id))

    def _open(self, source: Source) -> None:
        self._keyed.expect(source.id)
        locations = self._locations
        orders = ConfiguredOrders(
            lambda: self._config,
            source,
            locations.private,
            os.environ,
            allowance=lambda _source, _task_id, _wanted: None,
            trust=self._trust,
            worktrees=locations.worktrees,
            temporary=locations.temporary,
            documents=locations.documents,
            with_credentials=False,
            result_of=self._result_of,
        )
        engine = FolderEngine(
            source.path,
            settle_s=lambda: self._config.settle_seconds,
            layers=orders.layers,
            notes=self._notes.of(source.id),
            source=source.id,
            keyed=self._keyed,
            cycles=self._cycles.of(source.id),
        )
        context = SourceContext(
            source=source.id,
            engine=engine,
            runners=RunnersOutOfSight(),
            orders=OrdersOfWorkers(orders),
            admission=self._accounts.of(source.id),
            state_of=self._state_of,
            clock=self._clock,
            emit=self._note,
            dedupe=self._keyed,
            timing=lambda: Timing(self._config.sweep_seconds, self._config.stop_grace_seconds),
            is_new=partial(self._drops.is_new, source.id),
            on_change=self._wakeup.wake,
        )
        self._orders[source.id] = orders
        self._opened[source.id] = _OpenedSource(source, engine)
        self._sources[source.id] = LeasedSource(
            context, LeasedAttempts(engine.layout), self._accounts, finish=self._handed_in.finish
        )
        self._note(SourceOpened(source.id, str(source.path)))
        self._watcher.watch(source.id, source.path)

    def _look_at(self, source_id: str, name: str | None = None, arrived: bool = False) -> None:
        opened = self._opened.get(source_id)
        if opened is not None:
            if name is not None and arrived:
                opened.engine.arrived(name)
            else:
                opened.engine.touch(name)
        self._wakeup.wake()

    def _look_again(self) -> None:
        self._wakeup.wake()
        self._changed()

    def _artifact(self, source_id: str, task_id: TaskId, name: str) -> Path:
        return self._opened[source_id].engine.layout.artifacts(task_id) / name

    def _look(self, source_id: str) -> None:  # noqa: ARG002 - all are looked at
        self._wakeup.wake()

    def _note(self, event: Event) -> None:
        self._events.emit(event)
        if isinstance(event, TaskSettled):
            for opened in list(self._opened.values()):
                if opened.engine.moved(event.task_id):
                    self._wakeup.wake()

    def _state_of(self, task_id: TaskId) -> TaskState | None:
        return state_in((Layout(source.path) for source in self._config.sources), task_id)

    def _place_of(self, task_id: TaskId) -> tuple[str, TaskState] | None:
        return place_in({each.id: Layout(each.path) for each in self._config.sources}, task_id)

    def _result_of(self, task_id: TaskId) -> Result | None:
        return result_in((Layout(source.path) for source in self._config.sources), task_id)


def _stamp_of(path: Path) -> tuple[int, int, int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size
