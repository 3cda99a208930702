"""The folders that are served: list, add, remove, and the usual ones for a new project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.config import document, edit
from task_queue.config.document import WORKERS, SourceEntry
from task_queue.domain.source_pause import SourcePause, SourcePauseState, paused_by
from task_queue.platform import durable
from task_queue.store.folder.layout import Layout
from task_queue.store.pauses import Pauses

_USUAL = {
    "ad-hoc": "Quick, spontaneous tasks from conversation",
    "planned": "Organized, sequential tasks from planning docs",
}
_WITH_PLANNING = "planned"


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A source as the configuration lists it."""

    id: str
    path: Path
    description: str
    added_at: str | None
    project_workspace: str | None
    paused: bool
    """Nothing new of it starts."""
    state: str = "open"
    """Or ``paused``, ``draining``, ``drained``."""
    paused_by: str | None = None
    """``command`` or ``configuration``."""
    served_by: str = "daemon"
    """Or ``workers``."""
    slots: int | None = None
    """How many of its tasks workers may hold at once."""
    repository: str | None = None


@dataclass(frozen=True, slots=True)
class SourcesView:
    sources: tuple[SourceLine, ...]
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class MadeSource:
    """One of the usual sources; ``is_new``: it was not in the configuration before."""

    id: str
    queue: Path
    is_new: bool


@dataclass(frozen=True, slots=True)
class Initialized:
    config: Path
    sources: tuple[MadeSource, ...]
    served: bool
    """A source of the configuration is in the workspace; else the usual ones are another project's."""


def list_sources(installation: Installation) -> SourcesView:
    pauses = Pauses(installation.locations.pauses)
    return SourcesView(tuple(_line(entry, pauses.of(entry.id)) for entry in installation.entries()))


def _line(entry: SourceEntry, pause: SourcePause | None) -> SourceLine:
    by = paused_by(pause, by_configuration=entry.paused)
    state = "open" if by is None else SourcePauseState.PAUSED if pause is None else pause.state
    return SourceLine(
        entry.id,
        entry.path,
        entry.description,
        entry.added_at,
        entry.project_workspace,
        by is not None,
        state,
        by,
        entry.served_by,
        (entry.slots or 1) if entry.is_remote else None,
        entry.repository,
    )


def add_source(
    installation: Installation,
    path: Path,
    *,
    source_id: str,
    project_workspace: Path | None = None,
    description: str = "",
    repository: str | None = None,
    for_workers: bool = False,
    slots: int | None = None,
) -> SourceEntry:
    """Serve the queue folder *path* (or its ``pending/``); missing folders are made. Raises ConfigError."""
    entry = edit.add_source(
        installation.locations.config,
        path,
        source_id=source_id,
        now=installation.now(),
        create_folders=_create_folders,
        project_workspace=project_workspace,
        description=description,
        more=_of_workers(repository, for_workers=for_workers, slots=slots),
    )
    record_action(installation, "sources add", source=entry.id, path=str(entry.path))
    return entry


def _of_workers(repository: str | None, *, for_workers: bool, slots: int | None) -> dict[str, object]:
    given = {"repository": repository, "served_by": WORKERS if for_workers else None, "slots": slots}
    return {key: value for key, value in given.items() if value is not None}


def remove_source(installation: Installation, source_id: str) -> SourceEntry:
    """Serve it no more; its folders and files stay. Raises ConfigError."""
    entry = edit.remove_source(installation.locations.config, source_id, now=installation.now())
    Pauses(installation.locations.pauses).forget(entry.id)
    record_action(installation, "sources rm", source=entry.id)
    return entry


def initialize(installation: Installation, workspace: Path) -> Initialized:
    """Make the usual sources in *workspace* and register them. Safe to repeat. Raises ConfigError."""
    config = installation.locations.config
    here = workspace.resolve()
    edit.demand_closable(here)
    edit.set_workspace(config, here, now=installation.now())
    made: list[MadeSource] = []
    for source_id, description in _USUAL.items():
        source, is_new = edit.ensure_source(
            config,
            here / "tasks" / source_id,
            source_id=source_id,
            now=installation.now(),
            create_folders=_create_folders,
            description=description,
        )
        if source_id == _WITH_PLANNING:
            durable.make_directory(Layout(source.path).planning)
        made.append(MadeSource(source_id, source.queue, is_new))
    record_action(installation, "init", workspace=str(here))
    listed = document.sources_of(document.read(config))
    return Initialized(config, tuple(made), any(source.queue.is_relative_to(here) for source in listed))


def _create_folders(pending: Path) -> None:
    layout = Layout(pending)
    layout.create()
    durable.make_directory(layout.schedules)
