"""What the configuration in force and people say of the sources that workers serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from task_queue.config.environment import agent_environment
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.daemon.admission.bounds import Bounds, bounds_of
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.dispatch.leased_source import LeasedSource, OpenClaim
from task_queue.dispatch.work_orders import work_order
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.holds import STOPPED, outside_hours, source_held
from task_queue.domain.holds import Hold as Screen
from task_queue.domain.secrets import without_secrets
from task_queue.domain.task import TaskId
from task_queue.domain.together import Neighbour, TogetherHold
from task_queue.git.base_bundles import write_base
from task_queue.git.guarding import guarded
from task_queue.git.location import workplace_of
from task_queue.git.program import Git
from task_queue.platform import durable
from task_queue.platform.disk import free_mb_at
from task_queue.ports.claims import WorkOrder
from task_queue.ports.clock import Clock
from task_queue.store.pauses import Pauses


class ConfiguredRules:
    """Implements dispatch.claims.SourceRules."""

    def __init__(
        self,
        locations: Locations,
        config_of: Callable[[], Config],
        sources: Mapping[str, LeasedSource],
        orders: Mapping[str, ConfiguredOrders],
        *,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        self._locations = locations
        self._config_of = config_of
        self._sources = sources
        self._orders = orders
        self._clock = clock
        self._environ = environ
        self._pauses = Pauses(locations.pauses)
        self._bounds: tuple[Config, Bounds] | None = None

    @property
    def bounds(self) -> Bounds:
        config = self._config_of()
        if self._bounds is None or self._bounds[0] is not config:
            self._bounds = config, bounds_of(config)
        return self._bounds[1]

    def why_closed(self, source: str) -> str | None:
        if self._locations.stopped.exists():
            return STOPPED
        bounds = self.bounds
        held = source_held(source, self._pauses.of(source), by_configuration=source in bounds.closed)
        outside = outside_hours(bounds.hours.get(source), self._clock.now())
        if held is not None or outside is not None:
            return held or (outside.why if outside is not None else None)
        folder = bounds.folders.get(source)
        free_mb = None if folder is None else free_mb_at(folder)
        if free_mb is not None and free_mb < bounds.min_free_mb:
            return f"only {free_mb} MB are free on the disk of {folder}, less than {bounds.min_free_mb}"
        return None

    def slots_of(self, source: str) -> int:
        found = self._source(source)
        return 0 if found is None else found.slots or 1

    def beside(self, source: str, running: Sequence[Neighbour]) -> Screen | None:
        if not running:
            return None
        return TogetherHold(tuple(running), self.bounds.caps, lambda task: self.neighbour(source, task).at)

    def neighbour(self, source: str, task: Waiting) -> Neighbour:
        """Each works in a checkout of its own, wherever its worker is."""
        place = workplace_of(replace(task, in_place=False), base=self.bounds.workspaces.get(source))
        return Neighbour(source, task.id, place)

    def room_of_transcript(self) -> int:
        return self._config_of().limits.transcript_mb * 2**20

    def order_of(self, source: str, hold: OpenClaim) -> WorkOrder:
        config, orders, claim = self._config_of(), self._orders[source], hold.claim
        engine = self._sources[source].engine
        task = engine.queue.task(claim)
        settings = orders.settings_of(task)
        found = self._source(source)
        workspace = None if found is None else config.workspace_of(found)
        has_checkout = workspace is not None and workspace.is_dir()
        env = without_secrets(agent_environment(config.agent, self._environ))
        return work_order(
            claim,
            task,
            settings,
            _text_at(engine.attempts.place_of(claim).document),
            repository=None if found is None else found.repository,
            checkout=Git(workspace, env) if has_checkout and workspace is not None else None,
            trusted=self._locations.trusted_programs,
            dependencies=orders.dependencies_of(settings),
        )

    def base_of(self, source: str, task_id: TaskId, file: Path, have: Sequence[str]) -> bool:
        """Write a bundle of what the task's work begins on; False where it begins without one. Raises GitError."""
        config, found = self._config_of(), self._source(source)
        workspace = None if found is None else config.workspace_of(found)
        if workspace is None or not workspace.is_dir():
            return False
        env = without_secrets(agent_environment(config.agent, self._environ))
        git = guarded(Git(workspace, env), self._locations.trusted_programs)
        return write_base(git, task_id, file, have=have)

    def _source(self, source: str) -> Source | None:
        return self._config_of().source(source)


def _text_at(path: Path) -> str:
    """Raises EngineUnavailable."""
    try:
        return durable.read_regular(path, limit=MAX_BYTES)[0].decode()
    except OSError as error:
        raise EngineUnavailable(f"{path}: {error.strerror}") from error
