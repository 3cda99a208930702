"""The folders that are served: list, add, remove, and the usual ones for a new project."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.config import document, edit
from task_queue.config.document import WORKERS, SourceEntry
from task_queue.domain.errors import GitError
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
    workspace: Path
    """Resolved."""
    sources: tuple[MadeSource, ...]
    served: bool
    """A source of the configuration is in the workspace; else the usual ones are another project's."""
    why_in_git: str | None = None
    """Why git shows the queue's files; None where it does not."""


@dataclass(frozen=True, slots=True)
class AddedSource:
    entry: SourceEntry
    workspace: Path | None
    """Where its tasks work, resolved."""
    why_in_git: str | None
    """As in ``Initialized``."""


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
) -> AddedSource:
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
    workspace = document.workspace_of(document.read(installation.locations.config), entry)
    why_in_git = _keep_out_of_git(installation, workspace or entry.queue, [entry.queue])
    return AddedSource(entry, workspace, why_in_git)


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
    served = any(source.queue.is_relative_to(here) for source in listed)
    why_in_git = _keep_out_of_git(installation, here, (source.queue for source in made))
    return Initialized(config, here, tuple(made), served, why_in_git)


def _create_folders(pending: Path) -> None:
    layout = Layout(pending)
    layout.create()
    durable.make_directory(layout.schedules)


def _keep_out_of_git(installation: Installation, workspace: Path, queues: Iterable[Path]) -> str | None:
    """Let git ignore those of *queues* that are in the repository of *workspace*, as a task does; why it does not."""
    if not edit.is_in_git(workspace):
        return None
    from task_queue.config.environment import agent_environment  # pydantic
    from task_queue.config.schema import Agent
    from task_queue.git.exclude import keep_out
    from task_queue.git.guarding import guarded
    from task_queue.git.program import Git
    from task_queue.git.repository import facts

    git = Git(workspace, agent_environment(Agent(), os.environ))
    try:
        repository = facts(guarded(git, installation.locations.trusted_programs))
        if repository is not None and not repository.bare:
            keep_out(repository, queues)
    except GitError as error:
        return error.in_full
    return None
