"""FolderEngine: a source kept in plain folders. Every step is one published or moved file."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from task_queue.domain.document import naming
from task_queue.domain.document.cycles import CyclesOfSource
from task_queue.domain.document.layers import Layers
from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.disk import why_refused
from task_queue.ports.snapshot import Survey
from task_queue.ports.store import Notes
from task_queue.store.folder import preflight
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.attempts import FolderAttempts
from task_queue.store.folder.claim_cache import ClaimCache
from task_queue.store.folder.foreign import is_stale_foreign_lock
from task_queue.store.folder.guard import SourceGuard
from task_queue.store.folder.layout import ARTIFACTS, Layout
from task_queue.store.folder.locks import Locks
from task_queue.store.folder.pending import Pending, Settling
from task_queue.store.folder.queue import FolderQueue
from task_queue.store.folder.requests import FolderRequests
from task_queue.store.folder.requeue import Requeue
from task_queue.store.folder.revising import Revising
from task_queue.store.keyed_tasks import KeyedTasks


class FolderEngine:
    """Implements ports.store.Engine. ``touch``, ``arrived``, ``moved`` and ``is_empty`` are for any thread."""

    def __init__(
        self,
        pending: Path,
        *,
        settle_s: Callable[[], float] = lambda: 1.0,
        layers: Callable[[], Layers] = Layers,
        notes: Notes | None = None,
        source: str = "",
        keyed: KeyedTasks | None = None,
        cycles: CyclesOfSource | None = None,
    ) -> None:
        """*settle_s* and *layers*: what is in force of the owner's configuration.

        Without *notes* it knows of its own claims alone: enough for a process that claims nothing. *keyed* has the
        tasks of all sources that have a ``dedupe_key``, of which this one is *source*. *cycles* as in ``Pending``.
        """
        self.layout = Layout(pending)
        self._pending = Pending(
            pending, layers=layers, settling=Settling(settle_s), cycles=cycles, source=source, keyed=keyed
        )
        self.touch = self._pending.touch
        self.arrived = self._pending.arrived
        self.is_empty = self._pending.is_empty
        self.moved = self._pending.moved
        archive = Archive(self.layout)
        self.state_of = archive.state_of
        cache = ClaimCache()
        self._guard = SourceGuard(self.layout)
        self._locks = Locks(self.layout, cache, notes, self.touch)
        self._requeue = Requeue(self.layout, archive, self.touch)
        self.queue = FolderQueue(
            self.layout,
            pending=self._pending,
            cache=cache,
            locks=self._locks,
            archive=archive,
            guard=self._guard,
            available=self._available,
        )
        self.attempts = FolderAttempts(self.layout, cache, self._available)
        self.requests = FolderRequests(
            self.layout,
            archive=archive,
            requeue=self._requeue,
            claims=self.queue.claims,
            touch=self.touch,
            available=self._available,
        )
        self.revising = Revising(self.layout, archive, self._available)

    def open(self) -> None:
        with self._available():
            preflight.make_ready(self.layout)
            self._guard.demand()
            if not self._guard.serves:
                self._locks.take_over()
            self._guard.settle_in()
            self.touch()
            self.sweep_temporaries()
            for name in self._stale_foreign_locks():
                self.clear_away(name)
            self._requeue.finish()

    def close(self) -> None:
        """Let others serve the source."""
        self._guard.release()

    def changed_ns(self, task_id: TaskId) -> int:
        stamp = self._pending.stamp(naming.document_of(task_id))
        return 0 if stamp is None else stamp.ctime_ns

    def survey(self) -> Survey:
        with self._available():
            if self._guard.is_displaced():
                self.open()
            survey = self._pending.survey()
            for name in self._pending.orphans():
                self.clear_away(name)
            return survey

    def clear_away(self, name: str) -> None:
        """Move a foreign or unreadable lock out of the way, into ``logs/``, where it can be looked at."""
        with self._available():
            self._locks.clear_away(name)

    def sweep_temporaries(self) -> int:
        """Remove unpublished files of writers that are dead; how many there were."""
        logs = self.layout.logs
        of_tasks = (path for part in ("attempt-*", ARTIFACTS) for path in logs.glob(f"task-*/{part}"))
        folders = (*self.layout.folders(), self.layout.needing, *of_tasks)
        with self._available():
            return sum(map(durable.sweep_temporaries, folders))

    def _stale_foreign_locks(self) -> list[str]:
        """Locks of the original system whose process is not a task queue's daemon any more."""
        return [path.name for path in self.layout.pending.glob(".task-*.lock") if is_stale_foreign_lock(path)]

    @contextmanager
    def _available(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self.touch()
            where = error.filename or self.layout.pending
            why = why_refused(error.errno, self.layout.root) or error.strerror or error
            raise EngineUnavailable(f"{where}: {why}") from error
