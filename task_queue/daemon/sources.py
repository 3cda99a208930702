"""The sources while they are served: each has an engine, a worker, and the thread the worker runs in.

A source that is removed or moved retires: its worker ends what it runs, then it is closed. Only the
daemon's main thread opens and closes; the watcher's thread may call ``look`` meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.daemon.drops import Drops
from task_queue.daemon.served_source import ServedSource
from task_queue.daemon.source_assembly import Shared, SourceAssembly
from task_queue.daemon.source_pauses import SourcePauses
from task_queue.daemon.source_room import SourceRoom
from task_queue.daemon.source_states import SourceStates
from task_queue.daemon.standing_still import standstill_among, stuck_among
from task_queue.daemon.watcher import Watcher
from task_queue.domain.events import Event, SourceClosed, SourceOpened, TaskAdopted, TaskSettled
from task_queue.domain.standstill import Standstill
from task_queue.ports.emit import Emit
from task_queue.store.pauses import Pauses

log = logging.getLogger(__name__)

_STUCK_AFTER_S = 120.0


class ServedSources:
    """What *config_of* lists is served from the first ``apply`` until ``stop``."""

    def __init__(
        self, locations: Locations, config_of: Callable[[], Config], shared: Shared, emit: Emit
    ) -> None:
        self._config_of = config_of
        self._admission = shared.admission
        self._emit = emit
        self._served: dict[str, ServedSource] = {}
        self._room = SourceRoom()
        self._states = SourceStates(shared.admission)
        self._pauses = SourcePauses(Pauses(locations.pauses), shared.admission.limits, emit)
        self._drops = Drops(locations.drops, locations.events)
        self._assembly = SourceAssembly(
            locations,
            config_of,
            shared,
            drops=self._drops,
            emit=self._note,
            wake=self._wake,
            changed=self._states.changed,
        )
        self._watcher = Watcher(self.look, emit)

    def __len__(self) -> int:
        return len(self._served)

    def apply(self) -> None:
        """Serve what the configuration lists now; what runs is not disturbed."""
        wanted = {source.id: source for source in self._config_of().own_sources}
        for source_id, served in self._served.items():
            source = wanted.get(source_id)
            if (source is None or source.path != served.source.path) and not served.retiring:
                self._retire(served)
        self._fill_room()
        for source_id, source in wanted.items():
            if source_id in self._served:
                served = self._served[source_id]
                served.source = source
                self._look_at_pause(served)
                served.worker.wake()
        self._states.changed(*self._served)

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
        if self._pauses.look_at(served):
            served.worker.wake()
            self._states.changed(served.source.id)

    def check_watches(self) -> None:
        self._watcher.check()
        if self._states.set_unwatched(self._watcher.degraded()):
            self._states.changed(*self._served)

    def look_at_disks(self) -> None:
        self._states.look_at_disks(self._served)

    def sweep(self) -> None:
        """Have every worker look for what no event named.

        Whether a folder is empty is checked here: waking a thread for it costs ten times as much. Not where
        there are no events: such a folder may be on a file system that takes its time.
        """
        for source_id, served in self._served.items():
            if not self._states.is_watched(source_id) or not served.engine.is_empty():
                self.look(source_id)
        for served in self._room.giving_way(self._served.values(), self._config_of().own_sources):
            self._retire(served)
        self._drops.save()
        self._states.changed(*self._served)

    def warnings(self) -> tuple[str, ...]:
        """About all sources together, for people."""
        return self._room.warnings()

    def halt(self, *, at_once: bool) -> None:
        """Start nothing more; *at_once* ends what runs too. For any thread."""
        for served in list(self._served.values()):
            served.worker.halt(at_once=at_once)
        self._states.changed(*self._served)

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
                self._assembly.keyed.forget(source_id)
                self._emit(SourceClosed(source_id))
                self._assembly.cycles.discard_all(source_id)
                del self._served[source_id]
                self._states.changed(source_id)
                self._fill_room()

    def standstill(self) -> Standstill | None:
        """As ``standstill_among``; None also while a source without room has tasks."""
        if self._room.left_out_with_tasks(self._config_of().own_sources):
            return None
        return standstill_among(list(self._served.values()), self._admission)

    def stuck(self) -> Mapping[str, str]:
        """As ``stuck_among``."""
        return stuck_among(list(self._served.values()), self._admission)

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
        return self._states.describe(self._served, stopped=stopped)

    def _fill_room(self) -> None:
        """Serve what the configuration lists and is not served, as far as there is room."""
        missing = [source for source in self._config_of().own_sources if source.id not in self._served]
        opened = self._room.takes(missing, served=len(self._served))
        for source in opened:  # all of them, before a task of one can start
            self._assembly.keyed.expect(source.id)
            self._admission.limits.expect(source.id)
        for source in opened:
            self._open(source)

    def _open(self, source: Source) -> None:
        served = self._pauses.as_reported(self._assembly.of(source))
        self._served[source.id] = served
        self._states.changed(source.id)
        self._emit(SourceOpened(source.id, str(source.path)))
        served.thread.start()
        self._watcher.watch(source.id, source.path)

    def _retire(self, served: ServedSource) -> None:
        self._watcher.unwatch(served.source.id)
        served.retiring = True
        served.worker.retire()

    def _wake(self, source_id: str) -> None:
        served = self._served.get(source_id)
        if served is not None:
            served.worker.wake()

    def _note(self, event: Event) -> None:
        self._emit(event)
        if isinstance(event, TaskAdopted):
            self._states.changed(event.source)
        if isinstance(event, TaskSettled):
            for served in list(self._served.values()):
                if served.engine.moved(event.task_id):
                    served.worker.wake()
