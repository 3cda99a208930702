"""What every verb and question starts from: one configuration, the files that belong to it, and a clock.

The configuration is read leniently here, so that looking works while an unrelated value in it is wrong.
Deliberately absent: the terminal. A person's command line, an API and a test make an ``Installation`` each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from task_queue.app.answers import ListedSource
from task_queue.config import document
from task_queue.config.document import SourceEntry
from task_queue.config.locations import Locations, demand_trust, locate
from task_queue.domain.errors import ConfigError, TaskQueueError
from task_queue.platform.clock import SystemClock
from task_queue.platform.json_files import json_object
from task_queue.ports.clock import Clock

if TYPE_CHECKING:
    from task_queue.app.circumstances import Circumstances
    from task_queue.config.schema import Config


class Installation:
    """One configuration as it stands now. Nothing is read before it is asked for, and then once."""

    def __init__(
        self,
        config: str | None = None,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """*config* as ``--config`` names it; *sleep* (seconds) is how the verbs that wait pass the time."""
        self._config = config
        self.clock: Clock = clock or SystemClock()
        self.sleep = sleep

    @cached_property
    def locations(self) -> Locations:
        return locate(self._config)

    @cached_property
    def content(self) -> dict[str, Any]:
        """The configuration's JSON; if it cannot be read, the one last in force. Raises ConfigError without either."""
        return self._read[0]

    @property
    def unreadable(self) -> str | None:
        """Why the configuration cannot be read, where the one last in force was taken in its place."""
        return self._read[1] if "_read" in vars(self) else None

    @cached_property
    def _read(self) -> tuple[dict[str, Any], str | None]:
        try:
            return document.read(self.locations.config), None
        except document.ConfigMissing:
            raise
        except ConfigError as error:
            in_force = json_object(self.locations.in_force)
            if not isinstance(in_force, dict):
                raise
            return in_force, f"{error.in_full}; the configuration last in force is used"

    @cached_property
    def config(self) -> Config:
        """For verbs that act on more than a task: trusted, and checked as a whole; raises ConfigError."""
        from task_queue.config import schema  # pydantic, which nothing that only shows needs

        self.demand_trust()
        return schema.load(self.locations.config)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the configuration is not obeyed, and what of its list of sources cannot be shown."""
        unusable = document.unusable_in(self.content)
        unreadable = () if self.unreadable is None else (self.unreadable,)
        try:
            self.demand_trust()
        except ConfigError as error:
            return (error.in_full, *unreadable, *unusable)
        return (*unreadable, *unusable)

    def demand_trust(self) -> None:
        """For verbs: raises ConfigError if another user could have written the configuration or the queue's state."""
        demand_trust(self.locations)

    def entries(self) -> tuple[SourceEntry, ...]:
        return self._entries

    @cached_property
    def _entries(self) -> tuple[SourceEntry, ...]:
        return document.sources_of(self.content)

    def entry(self, source_id: str) -> SourceEntry:
        """The source *source_id*; raises TaskQueueError if there is none of that name."""
        entries = self.entries()
        for entry in entries:
            if entry.id == source_id:
                return entry
        if not entries:
            raise TaskQueueError("there is no source yet", hint="make the usual ones with: task-queue init")
        known = ", ".join(entry.id for entry in entries)
        raise TaskQueueError(f"there is no source '{source_id}'", hint=f"known sources: {known}")

    def sources(self, source_id: str | None = None) -> tuple[ListedSource, ...]:
        """Every source, or only *source_id*; raises TaskQueueError if there is none of that name."""
        from task_queue.app.circumstances import listed  # many verbs need none

        entries = self.entries() if source_id is None else (self.entry(source_id),)
        roots = document.roots_of(self.content, self.entries())
        return tuple(listed(self.content, entry, roots=roots, hosts=lambda: self._hosts) for entry in entries)

    @cached_property
    def _hosts(self) -> tuple[tuple[str, ...], ...] | None:
        from task_queue.app.fleet_sight import fleet_sight  # many verbs read no document

        sight = fleet_sight(self)
        return tuple(host.capabilities for host in sight.hosts) if sight is not None and sight.hosts else None

    def circumstances(self, now: datetime | None = None, *, read_all: bool = False) -> Circumstances:
        """What every answer on tasks starts from, read now; *now* is the time of the whole answer.

        With *read_all* each document is read, however many wait.
        """
        from task_queue.app.circumstances import Circumstances
        from task_queue.store.snapshot import READ_LIMIT

        return Circumstances(
            self.sources(),
            locations=self.locations,
            content=self.content,
            now=now or self.now(),
            read_limit=None if read_all else READ_LIMIT,
        )

    def section(self, name: str) -> dict[str, object]:
        """The object *name* of the configuration, empty if it is missing or something else."""
        section: object = self.content.get(name)
        return cast("dict[str, object]", section) if isinstance(section, dict) else {}

    def now(self) -> datetime:
        return self.clock.now()

    def again(self) -> Installation:
        """The same, to be read anew: for answers that are given again and again."""
        return Installation(str(self.locations.config), clock=self.clock, sleep=self.sleep)
