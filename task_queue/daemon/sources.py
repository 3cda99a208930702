"""The sources while they are served: each has an engine, a worker, and the thread the worker runs in.

A source that is removed or moved retires: its worker ends what it runs, then it is closed. Only the
daemon's main thread opens and closes; the watcher's thread may call ``look`` meanwhile.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

from task_queue.agents.project_settings import SettingsTrust
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.daemon.admission import SharedAdmission
from task_queue.daemon.admission.running import described
from task_queue.daemon.context import SourceContext, Timing
from task_queue.daemon.cycles import SharedCycles
from task_queue.daemon.drops import Drops
from task_queue.daemon.fleet_checkout import place_in_fleet
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.daemon.quota import Quota
from task_queue.daemon.served_source import ServedSource
from task_queue.daemon.watcher import Watcher
from task_queue.daemon.worker import Worker
from task_queue.domain.events import (
    Event,
    SourceClosed,
    SourceDrained,
    SourceOpened,
    SourcePaused,
    SourceResumed,
    TaskAdopted,
    TaskSettled,
)
from task_queue.domain.holds import Held
from task_queue.domain.model import Result
from task_queue.domain.source_pause import SourcePause, SourcePauseState
from task_queue.domain.standstill import Standstill, standstill_of
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import descriptors
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
from task_queue.store.pauses import Pauses

log = logging.getLogger(__name__)

_STUCK_AFTER_S = 120.0
_TURNS_GIVEN = 3
"""After as many turns in trouble, `run --drain` does not wait for the source to become well."""


_OTHER_DESCRIPTORS = 150
"""Of the daemon itself, and of attempts and files that it works on at the moment."""
_DESCRIPTORS_OF_A_SOURCE = 2


def _is_bare(source: Source) -> bool:
    """Whether nothing is in its folder for tasks, as far as can be seen."""
    try:
        with os.scandir(source.path) as entries:
            return next(entries, None) is None
    except OSError:
        return True


class ServedSources:
    """What *config_of* lists is served from the first ``apply`` until ``stop``."""

    def __init__(
        self,
        locations: Locations,
        config_of: Callable[[], Config],
        *,
        admission: SharedAdmission,
        runners: Runners,
        quota: Quota,
        clock: Clock,
        emit: Emit,
        fleet: Fleet | None = None,
    ) -> None:
        self._locations = locations
        self._fleet = fleet
        self._config_of = config_of
        self._admission = admission
        self._runners = runners
        self._quota = quota
        self._clock = clock
        self._emit = emit
        self._pauses = Pauses(locations.pauses)
        self._keyed = KeyedTasks(self._wake)
        self._trust = SettingsTrust(locations.trusted_settings)
        self._notes = ClaimNotes(locations.claims)
        self._cycles = SharedCycles(self._place_of, wake=self._wake)
        self._drops = Drops(locations.drops, locations.events)
        self._watcher = Watcher(self.look, emit)
        self._served: dict[str, ServedSource] = {}
        self._room = max(1, (descriptors.allowed() - _OTHER_DESCRIPTORS) // _DESCRIPTORS_OF_A_SOURCE)
        self._left_out: tuple[str, ...] = ()
        """Sources for which there is no room; at each sweep those with tasks change places with empty ones."""
        self._degraded: Mapping[str, str] = {}
        self._disk_troubles: Mapping[str, str] = {}
        self._changed: deque[str] = deque()
        """Sources of which something else may have to be reported."""
        self._described: Mapping[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._served)

    def apply(self) -> None:
        """Serve what the configuration lists now; what runs is not disturbed."""
        wanted = {source.id: source for source in self._config_of().own_sources}
        for source_id, served in self._served.items():
            source = wanted.get(source_id)
            if (source is None or source.path != served.source.path) and not served.retiring:
                self._watcher.unwatch(source_id)
                served.retiring = True
                served.worker.retire()
        self._fill_room()
        for source_id, source in wanted.items():
            if source_id in self._served:
                served = self._served[source_id]
                served.source = source
                self._look_at_pause(served)
                served.worker.wake()
        self._changed.extend(self._served)

    def look(self, source_id: str, name: str | None = None, arrived: bool = False) -> None:
        """Something may have changed in *source_id*; *arrived*: the document under *name* is whole."""
        served = self._served.get(source_id)
        if served is None:
            return
        if name is not None and arrived:
            served.engine.arrived(name)
        else:
            served.engine.touch(name)
        served.worker.wake()

    def look_at_pauses(self) -> None:
        """A person may have paused, drained or resumed a source; and one that drains may have come to its end."""
        for served in self._served.values():
            self._look_at_pause(served)

    def _look_at_pause(self, served: ServedSource) -> None:
        source_id, before = served.source.id, served.pause
        pause, resumed = self._pauses.of(source_id), self._pauses.resumed(source_id)
        if pause is not None and pause.state is SourcePauseState.DRAINING and self._is_drained(served):
            pause = self._report_drained(served, pause)
        if resumed != served.resumed:
            served.resumed = resumed
            self._admission.limits.resumed(source_id)
        by_configuration = SourcePauseState.PAUSED if served.source.paused else None
        served.pause = by_configuration if pause is None else pause.state
        if served.pause is before:
            return
        if (served.pause is None) is not (before is None):
            self._emit(SourceResumed(source_id) if served.pause is None else SourcePaused(source_id))
        served.worker.wake()
        self._changed.append(source_id)

    def _report_drained(self, served: ServedSource, pause: SourcePause) -> SourcePause | None:
        """Reported first: a kill in between reports it twice rather than never."""
        source_id = served.source.id
        if served.drained != pause:
            self._emit(SourceDrained(source_id))
            served.drained = pause
        try:
            self._pauses.note_drained(source_id, pause)
        except OSError as error:  # tried again at the next look
            log.warning("end of draining not noted source=%s error=%s", source_id, error)
        return self._pauses.of(source_id)

    def _is_drained(self, served: ServedSource) -> bool:
        return served.worker.has_concluded and self._admission.limits.is_drained(served.source.id)

    def check_watches(self) -> None:
        self._watcher.check()
        degraded = self._watcher.degraded()
        if degraded != self._degraded:
            self._degraded = degraded
            self._changed.extend(self._served)

    def look_at_disks(self) -> None:
        busy = [
            name for name, served in self._served.items() if served.worker.running or served.worker.trouble
        ]
        troubles = self._admission.limits.disk_troubles({*busy, *self._disk_troubles})
        if troubles != self._disk_troubles:
            for source_id, why in troubles.items():
                if why != self._disk_troubles.get(source_id):
                    log.warning("disk refuses source=%s why=%s", source_id, why)
            self._disk_troubles = troubles
            self._changed.extend(self._served)

    def sweep(self) -> None:
        """Have every worker look for what no event named.

        Whether a folder is empty is checked here: waking a thread for it costs ten times as much. Not where
        there are no events: such a folder may be on a file system that takes its time.
        """
        for source_id, served in self._served.items():
            if source_id in self._degraded or not served.engine.is_empty():
                self.look(source_id)
        self._make_room()
        self._drops.save()
        self._changed.extend(self._served)

    def _fill_room(self) -> None:
        """Serve what the configuration lists and is not served, those with tasks first, as far as there is room."""
        missing = [source for source in self._config_of().own_sources if source.id not in self._served]
        if len(missing) > self._room - len(self._served):
            missing.sort(key=_is_bare)
        room = max(0, self._room - len(self._served))
        for source in missing[:room]:  # all of them, before a task of one can start
            self._keyed.expect(source.id)
            self._admission.limits.expect(source.id)
        for source in missing[:room]:
            self._open(source)
        self._left_out = tuple(source.id for source in missing[room:])

    def _make_room(self) -> None:
        """Let sources in which nothing waits give way to those that were left out although something waits there."""
        if not self._left_out:
            return
        waiting = self._left_out_with_tasks()
        idle = [
            served
            for served in self._served.values()
            if not served.retiring and served.worker.rest is not None and _is_bare(served.source)
        ]
        for served in idle[: len(waiting)]:
            self._watcher.unwatch(served.source.id)
            served.retiring = True
            served.worker.retire()

    def _left_out_with_tasks(self) -> list[Source]:
        left_out = [source for source in self._config_of().own_sources if source.id in self._left_out]
        return [source for source in left_out if not _is_bare(source)]

    def warnings(self) -> tuple[str, ...]:
        """About all sources together, for people."""
        if not self._left_out:
            return ()
        why = f"because only {descriptors.allowed()} open files are allowed"
        hint = "raise the hard limit (ulimit -Hn, or LimitNOFILE in the unit)"
        return (f"{len(self._left_out)} sources are served by the sweep only, {why}; {hint}",)

    def halt(self, *, at_once: bool) -> None:
        """Start nothing more; *at_once* ends what runs too. For any thread."""
        for served in list(self._served.values()):
            served.worker.halt(at_once=at_once)

    def go_on(self) -> None:
        for served in list(self._served.values()):
            served.worker.go_on()

    def wake(self, source_ids: Collection[str] | None = None) -> None:
        """Have these workers look, or every one. For any thread."""
        for source_id, served in list(self._served.items()):
            if source_ids is None or source_id in source_ids:
                served.worker.wake()

    def is_idle(self) -> bool:
        """Whether no worker has a task in hand. For any thread."""
        return all(served.worker.running is None for served in list(self._served.values()))

    def close_retired(self) -> None:
        """Close what has retired, and serve it again where it is wanted at another place."""
        for source_id, served in list(self._served.items()):
            if served.retiring and not served.thread.is_alive():
                served.engine.close()
                self._keyed.forget(source_id)
                self._emit(SourceClosed(source_id))
                self._cycles.discard_all(source_id)
                del self._served[source_id]
                self._changed.append(source_id)
                self._fill_room()

    def standstill(self) -> Standstill | None:
        """Until when nothing will start by itself, None if something runs, or may start at any moment.

        Only where every worker rests, so that none is about to end a task for which others wait.
        """
        if self._left_out_with_tasks():
            return None
        served = list(self._served.values())
        before = [each.worker.rest for each in served]
        still = standstill_of(wait for each in served for wait in self._waits_of(each))
        rests = all(
            self._is_given_up(each) or (rest is not None and rest == each.worker.rest)
            for each, rest in zip(served, before, strict=True)
        )
        return still if rests else None

    def _waits_of(self, served: ServedSource) -> Iterator[Held | None]:
        """What *served* waits for: nothing where nothing is left; None for a task that may start at any moment."""
        worker, source_id = served.worker, served.source.id
        stuck = self._why_stuck(served)
        lull = worker.lull
        if stuck is not None:
            yield Held(stuck, needs_person=True)
        elif worker.running is not None or lull is None:
            yield None
        else:
            yield from (self._admission.held(source_id, task) for task in lull.held)
            if lull.delayed is not None:
                yield Held(f"{lull.delayed.id} is delayed", lull.until)

    def _is_given_up(self, served: ServedSource) -> bool:
        """Whether its worker can do nothing, however often it looks."""
        worker = served.worker
        return worker.trouble is not None and (worker.needs_person or worker.failed_turns >= _TURNS_GIVEN)

    def stuck(self) -> Mapping[str, str]:
        """Why nothing of a source starts until a person acts, by source; only of those where that is so."""
        found = {source_id: self._why_stuck(served) for source_id, served in self._served.items()}
        return {source_id: why for source_id, why in found.items() if why is not None}

    def _why_stuck(self, served: ServedSource) -> str | None:
        if served.worker.running is not None:
            return None
        if self._is_given_up(served):
            return served.worker.trouble
        if served.worker.drained:
            return None
        return self._admission.limits.why_closed(served.source.id)

    @property
    def has_recovered(self) -> bool:
        """Whether every worker has taken in hand what an earlier daemon left."""
        return all(served.worker.has_recovered for served in self._served.values())

    def all_turning(self, now: float) -> bool:
        """Whether no worker hangs at *now* (monotonic seconds)."""
        return not any(
            served.worker.is_stuck(now, after_s=_STUCK_AFTER_S) for served in self._served.values()
        )

    def stop(self, *, patience_s: float) -> None:
        """Let every worker end in order; runners go on by themselves."""
        for served in self._served.values():
            served.worker.stop()
        deadline = time.monotonic() + patience_s
        for served in self._served.values():
            served.thread.join(max(0.0, deadline - time.monotonic()))
            if served.thread.is_alive():
                log.error("worker did not stop in time source=%s", served.source.id)
            served.engine.close()
            self._emit(SourceClosed(served.source.id))
        self._drops.save()
        self._watcher.close()

    def describe(self, *, stopped: bool) -> Mapping[str, dict[str, Any]]:
        """Each source as the state file shows it; the same object while there is nothing new."""
        if stopped:
            self._changed.extend(self._served)
        if self._changed:
            changed: set[str] = set()
            while self._changed:  # workers add to it meanwhile
                changed.add(self._changed.popleft())
            self._described = {
                source_id: self._description_of(served, stopped=stopped)
                if source_id in changed
                else self._described[source_id]
                for source_id, served in self._served.items()
            }
        return self._described

    def _description_of(self, served: ServedSource, *, stopped: bool) -> dict[str, Any]:
        worker, source_id = served.worker, served.source.id
        refusal = self._disk_troubles.get(source_id)
        why = worker.trouble or refusal or worker.hold_reason
        runs = self._admission.limits.running.of(source_id)
        return {
            "state": served.state(stopped=stopped),
            "why": why,
            "holds": None if why is None else self._what_is_held(worker, why),
            "runs": [each for task in runs if (each := described(task)) is not None],
            "needs_person": self._admission.limits.tripped(source_id) is not None
            or (worker.trouble is None and refusal is not None),
            "watch": "sweep" if source_id in self._degraded else "events",
            "watch_why": self._degraded.get(source_id),
            "thread_id": worker.thread_id,
            "task_id": worker.running,
        }

    def _what_is_held(self, worker: Worker, why: str) -> str:
        if why != worker.hold_reason:
            return "everything"
        if self._admission.holds_one(worker.source):
            return "one"
        return "agents" if worker.holds_agents_only else "everything"

    def _open(self, source: Source) -> None:
        orders = ConfiguredOrders(
            self._config_of,
            source,
            self._locations.private,
            os.environ,
            allowance=self._admission.limits.allowance,
            trust=self._trust,
            worktrees=self._locations.worktrees,
            temporary=self._locations.temporary,
            documents=self._locations.documents,
            events=self._locations.events,
            lease=None if self._fleet is None else self._fleet.lease,
            result_of=self._result_of,
        )
        engine = self._engine_of(source, orders)
        worker = Worker(
            SourceContext(
                source=source.id,
                engine=engine,
                runners=self._runners,
                orders=orders,
                admission=self._admission,
                state_of=self._state_of,
                clock=self._clock,
                emit=self._note,
                dedupe=self._keyed,
                quota=self._quota,
                timing=self._timing,
                is_new=partial(self._drops.is_new, source.id),
                on_change=partial(self._changed.append, source.id),
            )
        )
        thread = threading.Thread(target=worker.serve, name=f"worker-{source.id}", daemon=True)
        self._served[source.id] = self._as_it_stands(ServedSource(source, engine, worker, thread))
        self._changed.append(source.id)
        self._emit(SourceOpened(source.id, str(source.path)))
        thread.start()
        self._watcher.watch(source.id, source.path)

    def _engine_of(self, source: Source, orders: ConfiguredOrders) -> ServedEngine:
        notes = self._notes.of(source.id)
        if self._fleet is not None:
            place = place_in_fleet(self._locations, self._config_of, orders, notes)
            return self._fleet.engine_of(place, self._note)
        return FolderEngine(
            source.path,
            settle_s=lambda: self._config_of().settle_seconds,
            layers=orders.layers,
            notes=notes,
            source=source.id,
            keyed=self._keyed,
            cycles=self._cycles.of(source.id),
        )

    def _as_it_stands(self, served: ServedSource) -> ServedSource:
        """With the pause that an earlier daemon has reported already."""
        pause = self._pauses.of(served.source.id)
        by_configuration = SourcePauseState.PAUSED if served.source.paused else None
        served.pause = by_configuration if pause is None else pause.state
        served.resumed = self._pauses.resumed(served.source.id)
        return served

    def _timing(self) -> Timing:
        config = self._config_of()
        return Timing(config.sweep_seconds, config.stop_grace_seconds)

    def _state_of(self, task_id: TaskId) -> TaskState | None:
        """The state of a task of whichever source, as front ends see it; in a fleet, of whichever host."""
        known = None if self._fleet is None else self._fleet.state_of(task_id)
        return known or state_in((Layout(source.path) for source in self._config_of().sources), task_id)

    def _place_of(self, task_id: TaskId) -> tuple[str, TaskState] | None:
        return place_in({each.id: Layout(each.path) for each in self._config_of().sources}, task_id)

    def _wake(self, source_id: str) -> None:
        served = self._served.get(source_id)
        if served is not None:
            served.worker.wake()

    def _result_of(self, task_id: TaskId) -> Result | None:
        return result_in((Layout(source.path) for source in self._config_of().sources), task_id)

    def _note(self, event: Event) -> None:
        self._emit(event)
        if isinstance(event, TaskAdopted):
            self._changed.append(event.source)
        if isinstance(event, TaskSettled):
            for served in list(self._served.values()):
                if served.engine.moved(event.task_id):
                    served.worker.wake()
