"""What every command starts from: the locations, the configuration as it stands, the sources in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import click

from task_queue.app.answers import ListedSource, StatusView
from task_queue.config import document
from task_queue.config.document import SourceEntry
from task_queue.config.locations import Locations, locate
from task_queue.domain.errors import (
    AmbiguousTaskError,
    ConfigError,
    TaskQueueError,
    UnknownTaskError,
)
from task_queue.domain.task import TaskId

if TYPE_CHECKING:
    from task_queue.app.circumstances import Circumstances

_DEFAULT_SOURCE = "ad-hoc"
_MAX_PENDING = 100
_CANDIDATES_SHOWN = 5


class Session:
    """One run of the command line. Nothing is read before it is asked for."""

    def __init__(self, config: str | None, *, debug: bool) -> None:
        self._config = config
        self.debug = debug

    @cached_property
    def locations(self) -> Locations:
        return locate(self._config)

    @cached_property
    def content(self) -> dict[str, Any]:
        return document.read(self.locations.config)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the configuration is not obeyed, and what of its list of sources cannot be shown."""
        try:
            self.demand_trust()
        except ConfigError as error:
            return (f"{error}; {error.hint}", *document.unusable_in(self.content))
        return document.unusable_in(self.content)

    def demand_trust(self) -> None:
        """For commands that act: raises ConfigError if somebody else could have written the configuration."""
        document.demand_trust(self.locations.config)

    def entries(self) -> tuple[SourceEntry, ...]:
        return document.sources_of(self.content)

    def sources(self, source_id: str | None = None) -> tuple[ListedSource, ...]:
        """Every source, or only *source_id*; raises TaskQueueError if there is none of that name."""
        from task_queue.app.circumstances import listed

        if source_id is not None:
            return (listed(self.content, self.entry(source_id)),)
        return tuple(listed(self.content, entry) for entry in self.entries())

    def entry(self, source_id: str | None) -> SourceEntry:
        """The source *source_id*; without a name the only one, or ``ad-hoc``."""
        entries = self.entries()
        known = ", ".join(entry.id for entry in entries)
        if source_id is None and len(entries) == 1:
            return entries[0]
        wanted = _DEFAULT_SOURCE if source_id is None else source_id
        for entry in entries:
            if entry.id == wanted:
                return entry
        if not entries:
            raise TaskQueueError("there is no source yet", hint="make the usual ones with: task-queue init")
        if source_id is None:
            raise TaskQueueError("several sources could be meant", hint=f"name one with --source: {known}")
        raise TaskQueueError(f"there is no source '{source_id}'", hint=f"known sources: {known}")

    @property
    def max_pending(self) -> int:
        given = self._section("limits").get("max_pending")
        return given if isinstance(given, int) and not isinstance(given, bool) else _MAX_PENDING

    def status(self, now: datetime, *, waiting_shown: int, ended_shown: int = 0) -> StatusView:
        """Everything at a glance."""
        from task_queue.app.overview import status_of

        return status_of(
            self.circumstances(now),
            config=self.locations.config,
            problems=self.problems,
            waiting_shown=waiting_shown,
            ended_shown=ended_shown,
        )

    def circumstances(self, now: datetime) -> Circumstances:
        """What every answer on tasks starts from, read now."""
        from task_queue.app.circumstances import Circumstances

        return Circumstances(self.sources(), locations=self.locations, content=self.content, now=now)

    def _section(self, name: str) -> dict[str, object]:
        section: object = self.content.get(name)
        return cast("dict[str, object]", section) if isinstance(section, dict) else {}

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC)


def task_named(text: str, sources: Sequence[ListedSource]) -> TaskId:
    """The task that a person means: its id, the document's file name or path, or a unique part of the id.

    Raises UnknownTaskError where no id has that part, AmbiguousTaskError where several have it.
    """
    from task_queue.app.listing import ids_with, state_of

    typed = TaskId(text.rpartition("/")[2].removesuffix(".md"))
    if state_of(sources, typed) is not None:
        return typed
    candidates = ids_with(sources, typed) if typed else []
    if not candidates:
        raise unknown_task(typed)
    if len(candidates) > 1:
        newest = candidates[-_CANDIDATES_SHOWN:]
        hidden = len(candidates) - len(newest)
        more = f" ({hidden} more have it)" if hidden else ""
        raise AmbiguousTaskError(
            f"'{typed}' is part of the ids of {len(candidates)} tasks",
            hint=f"name one of them: {', '.join(newest)}{more}",
        )
    return candidates[0]


def unknown_task(task_id: TaskId) -> UnknownTaskError:
    hint = "see what there is with: task-queue tasks list"
    return UnknownTaskError(f"there is no task {task_id}", hint=hint)


pass_session = click.make_pass_decorator(Session)
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable, with schema_version."
)
source_option = click.option("--source", "source_id", metavar="ID", help="Only this source.")
