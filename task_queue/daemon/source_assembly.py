"""What each source is served with, put together: its orders, its engine, its worker and the worker's thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from task_queue.agents.project_settings import SettingsTrust
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.daemon.admission import SharedAdmission
from task_queue.daemon.context import SourceContext, Timing
from task_queue.daemon.cycles import SharedCycles
from task_queue.daemon.drops import Drops
from task_queue.daemon.fleet_checkout import place_in_fleet
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.daemon.quota import Quota
from task_queue.daemon.served_source import ServedSource
from task_queue.daemon.worker import Worker
from task_queue.domain.model import Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.clock import Clock
from task_queue.ports.emit import Emit
from task_queue.ports.fleet import Fleet
from task_queue.ports.runner import Runners
from task_queue.ports.store import ServedEngine
from task_queue.store.folder.amending import result_in
from task_queue.store.folder.claim_notes import ClaimNotes
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.states import place_in, state_in
from task_queue.store.keyed_tasks import KeyedTasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all sources of one daemon have in common."""

    admission: SharedAdmission
    runners: Runners
    quota: Quota
    clock: Clock
    fleet: Fleet | None


class SourceAssembly:
    """Starts nothing; ``place_of`` and ``state_of`` look at the files of all sources."""

    def __init__(
        self,
        locations: Locations,
        config_of: Callable[[], Config],
        shared: Shared,
        *,
        drops: Drops,
        emit: Emit,
        wake: Callable[[str], None],
        changed: Callable[[str], None],
    ) -> None:
        """*wake* and *changed* get the id of a source: its worker is to look; other things may be shown of it."""
        self.keyed = KeyedTasks(wake)
        self.cycles = SharedCycles(self._place_of, wake=wake, all_seen=self.keyed.all_seen)
        self.keyed.when_all_seen(self.cycles.judge)
        self._locations = locations
        self._config_of = config_of
        self._shared = shared
        self._drops = drops
        self._emit = emit
        self._changed = changed
        self._trust = SettingsTrust(locations.trusted_settings)
        self._notes = ClaimNotes(locations.claims)

    def of(self, source: Source) -> ServedSource:
        fleet = self._shared.fleet
        orders = ConfiguredOrders(
            self._config_of,
            source,
            self._locations.private,
            os.environ,
            allowance=self._shared.admission.limits.allowance,
            trust=self._trust,
            worktrees=self._locations.worktrees,
            temporary=self._locations.temporary,
            documents=self._locations.documents,
            events=self._locations.events,
            lease=None if fleet is None else fleet.lease,
            result_of=self._result_of,
        )
        engine = self._engine_of(source, orders)
        worker = Worker(
            SourceContext(
                source=source.id,
                engine=engine,
                runners=self._shared.runners,
                orders=orders,
                admission=self._shared.admission,
                state_of=self._state_of,
                clock=self._shared.clock,
                emit=self._emit,
                dedupe=self.keyed,
                quota=self._shared.quota,
                timing=self._timing,
                is_new=partial(self._drops.is_new, source.id),
                on_change=partial(self._changed, source.id),
            )
        )
        thread = threading.Thread(target=worker.serve, name=f"worker-{source.id}", daemon=True)
        return ServedSource(source, engine, worker, thread)

    def _engine_of(self, source: Source, orders: ConfiguredOrders) -> ServedEngine:
        notes = self._notes.of(source.id)
        if self._shared.fleet is not None:
            place = place_in_fleet(self._locations, self._config_of, orders, notes)
            return self._shared.fleet.engine_of(place, self._emit)
        return FolderEngine(
            source.path,
            settle_s=lambda: self._config_of().settle_seconds,
            layers=orders.layers,
            notes=notes,
            source=source.id,
            keyed=self.keyed,
            cycles=self.cycles.of(source.id),
        )

    def _timing(self) -> Timing:
        config = self._config_of()
        return Timing(config.sweep_seconds, config.stop_grace_seconds)

    def _state_of(self, task_id: TaskId) -> TaskState | None:
        """The state of a task of whichever source, as front ends see it; in a fleet, of whichever host."""
        fleet = self._shared.fleet
        known = None if fleet is None else fleet.state_of(task_id)
        return known or state_in((Layout(source.path) for source in self._config_of().sources), task_id)

    def _place_of(self, task_id: TaskId) -> tuple[str, TaskState] | None:
        return place_in({each.id: Layout(each.path) for each in self._config_of().sources}, task_id)

    def _result_of(self, task_id: TaskId) -> Result | None:
        return result_in((Layout(source.path) for source in self._config_of().sources), task_id)
