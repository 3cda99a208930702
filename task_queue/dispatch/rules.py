"""What the configuration in force and people say of the sources that workers serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from task_queue.config.environment import agent_environment
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.daemon.admission import SharedLimits
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.dispatch.leased_source import LeasedSource, OpenClaim
from task_queue.dispatch.work_orders import work_order
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.secrets import without_secrets
from task_queue.domain.task import TaskId
from task_queue.domain.together import NO_REPOSITORY
from task_queue.git.base_bundles import write_base
from task_queue.git.guarding import guarded
from task_queue.git.location import repository_at
from task_queue.git.program import Git
from task_queue.platform import durable
from task_queue.ports.claims import WorkOrder


class ConfiguredRules:
    """Implements dispatch.claims.SourceRules."""

    def __init__(
        self,
        locations: Locations,
        config_of: Callable[[], Config],
        sources: Mapping[str, LeasedSource],
        orders: Mapping[str, ConfiguredOrders],
        limits: SharedLimits,
        *,
        environ: Mapping[str, str],
    ) -> None:
        self._locations = locations
        self._config_of = config_of
        self._sources = sources
        self._orders = orders
        self._limits = limits
        self._environ = environ

    def why_closed(self, source: str) -> str | None:
        self._limits.set_stopped(self._locations.stopped.exists())
        held = self._limits.closed(source)
        return None if held is None else held.why

    def slots_of(self, source: str) -> int:
        found = self._source(source)
        return 0 if found is None else found.slots or 1

    def room_of_transcript(self) -> int:
        return self._config_of().limits.transcript_mb * 2**20

    def order_of(self, source: str, hold: OpenClaim) -> WorkOrder:
        orders, claim = self._orders[source], hold.claim
        engine = self._sources[source].engine
        task = engine.queue.task(claim)
        settings = orders.settings_of(task)
        found = self._source(source)
        return work_order(
            claim,
            task,
            hold.of_this_attempt(settings),
            _text_at(engine.attempts.place_of(claim).document),
            allowance_usd=hold.allowance_usd,
            repository=None if found is None else found.repository,
            checkout=self._checkout_of(found),
            trusted=self._locations.trusted_programs,
            dependencies=orders.dependencies_of(settings),
        )

    def base_of(self, source: str, task_id: TaskId, file: Path, have: Sequence[str]) -> bool:
        """Write a bundle of what the task's work begins on; False where it begins without one. Raises GitError."""
        checkout = self._checkout_of(self._source(source))
        if checkout is None:
            return False
        return write_base(guarded(checkout, self._locations.trusted_programs), task_id, file, have=have)

    def _checkout_of(self, source: Source | None) -> Git | None:
        config = self._config_of()
        workspace = None if source is None else config.workspace_of(source)
        if workspace is None or not workspace.is_dir() or repository_at(workspace)[0] == NO_REPOSITORY:
            return None
        return Git(workspace, without_secrets(agent_environment(config.agent, self._environ)))

    def _source(self, source: str) -> Source | None:
        return self._config_of().source(source)


def _text_at(path: Path) -> str:
    """Raises EngineUnavailable."""
    try:
        return durable.read_regular(path, limit=MAX_BYTES)[0].decode()
    except OSError as error:
        raise EngineUnavailable(f"{path}: {error.strerror}") from error
