"""Changes the configuration: read, change, replace, under a lock, and everything else in it kept.

A configuration that cannot be read is never overwritten: the error says where it is broken.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from task_queue.config import document
from task_queue.config.document import SOURCES, ConfigMissing, SourceEntry
from task_queue.domain.document.choices import Isolation, Landing
from task_queue.domain.errors import ConfigError
from task_queue.platform import durable
from task_queue.platform.lockfile import locked

_VERSION = "2.1"
_IN_GIT = {"isolation": Isolation.WORKTREE, "landing": Landing.MERGE}
"""Each task works in a checkout of its own, and is merged when that is clean."""


def add_source(
    config: Path,
    path: Path,
    *,
    source_id: str,
    now: datetime,
    create_folders: Callable[[Path], None],
    project_workspace: Path | None = None,
    description: str = "",
    more: Mapping[str, object] = MappingProxyType({}),
) -> SourceEntry:
    """Register the queue at *path* (its folder, or its ``pending/``) after ``create_folders(pending)``.

    *more* are other keys of it. Where its tasks work in a git repository, and nothing says how, it gets the defaults
    that ``set_workspace`` gives.
    """
    problem = document.why_not_a_new_id(source_id)
    if problem:
        raise ConfigError(f"the id {source_id!r} {problem}", hint="use letters, digits and '-'")
    pending = _pending_of(path)
    with editing(config, now) as content:
        for entry in document.sources_of(content):
            if entry.id == source_id:
                raise ConfigError(
                    f"the source '{source_id}' exists already: {entry.path}", hint="choose another --id"
                )
            if _real(entry.path) == pending:
                raise ConfigError(
                    f"{pending}: is the source '{entry.id}' already",
                    hint=f"to rename it: task-queue sources rm {entry.id}",
                )
        if project_workspace is None and document.lacks_workspace(content):
            raise ConfigError(
                f"the source '{source_id}' would have no workspace, and the configuration names none",
                hint="name the directory in which its tasks work: task-queue sources add"
                f" {shlex.quote(str(path))} --id {shlex.quote(source_id)} --project-workspace DIRECTORY",
            )
        _refuse_around_workspaces(content, pending, source_id, project_workspace)
        try:
            create_folders(pending)
        except OSError as error:
            raise ConfigError(
                f"{error.filename or pending}: the queue's folders cannot be made there: {error.strerror}",
                hint="name a folder that you can write to, or one that can be made",
            ) from error
        item = _list(content, pending, source_id=source_id, now=now, description=description)
        item |= more
        if project_workspace is not None:
            item["project_workspace"] = str(_real(project_workspace))
        workspace = project_workspace or document.common_workspace(content)
        if workspace is not None and is_in_git(Path(workspace)) and not _says_where(content.get("defaults")):
            item["defaults"] = dict(_IN_GIT)
    return _named(content, source_id)


def ensure_source(
    config: Path,
    path: Path,
    *,
    source_id: str,
    now: datetime,
    create_folders: Callable[[Path], None],
    description: str,
) -> tuple[SourceEntry, bool]:
    """The source of that id, wherever it is; added at *path* if there is none, and whether it was."""
    with editing(config, now) as content:
        entry = _find(content, source_id)
        if entry is not None:
            create_folders(entry.path)
            return entry, False
        pending = _pending_of(path)
        create_folders(pending)
        _list(content, pending, source_id=source_id, now=now, description=description)
    return _named(content, source_id), True


def remove_source(config: Path, source_id: str, *, now: datetime) -> SourceEntry:
    """Take the source out of the configuration; its folders stay as they are."""
    with editing(config, now) as content:
        entry = _named(content, source_id)
        content[SOURCES] = [item for item in _listed(content) if not _is(item, source_id)]
    return entry


def set_workspace(config: Path, workspace: Path, *, now: datetime) -> None:
    """Name the project's directory unless the configuration names one already.

    In a git repository each task then works in a tree of its own, and is merged when that is clean: so
    sources can work side by side. A configuration that has ``defaults`` already is left as it is.
    """
    with editing(config, now) as content:
        if not content.get("project_workspace"):
            content["project_workspace"] = str(_real(workspace))
            if is_in_git(workspace):
                content.setdefault("defaults", dict(_IN_GIT))


def set_commands(
    config: Path, sources: Collection[str], *, setup: Sequence[str], verify: Sequence[str], now: datetime
) -> None:
    """Give each of *sources* these set-up and verify commands, where it names none of its own."""
    with editing(config, now) as content:
        for item in (each for each in _listed(content) if any(_is(each, name) for name in sources)):
            if setup:
                item.setdefault("setup", list(setup))
            if not item.get("defaults"):
                item["defaults"] = {}
            if isinstance(item["defaults"], dict):
                item["defaults"].setdefault("verify", list(verify))


def replace_text(config: Path, text: str, *, instead_of: str) -> None:
    """Write *text* as it stands. Raises ConfigError if the file does not say *instead_of* any more."""
    document.demand_trust(config)
    real = _real(config)
    with locked(real.with_name(f".{real.name}.lock")):
        if document.read_text(real) != instead_of:
            raise ConfigError(f"{config}: was changed meanwhile", hint="edit it as it is now")
        durable.replace(real, text.encode())


def is_in_git(workspace: Path) -> bool:
    """By the names above it: git itself is not asked."""
    real = _real(workspace)
    return any((folder / ".git").exists() for folder in (real, *real.parents))


@contextlib.contextmanager
def editing(config: Path, now: datetime) -> Generator[dict[str, Any], None, None]:
    """The document, to be changed in place; written when the block ends without an exception and changed it."""
    document.demand_trust(config)
    real = _real(config)
    durable.make_directory(real.parent)
    with locked(real.with_name(f".{real.name}.lock")):
        content: dict[str, Any] = {"version": _VERSION, SOURCES: [], "created_at": now.isoformat()}
        try:
            text = document.read_text(real)
            content = document.parse(text, config)
        except ConfigMissing:
            text = ""
        before = json.dumps(content)
        yield content
        if text and json.dumps(content) == before:
            return
        content["updated_at"] = now.isoformat()
        durable.replace(real, _written_like(text, content))


def _written_like(text: str, content: dict[str, Any]) -> bytes:
    """JSON in the style of *text*: escaped or plain beyond ASCII, with or without a final newline."""
    plain = not text or not text.isascii()
    end = "\n" if not text or text.endswith("\n") else ""
    return (json.dumps(content, indent=2, ensure_ascii=not plain) + end).encode()


def _says_where(defaults: object) -> bool:
    return isinstance(defaults, dict) and "isolation" in defaults


def _refuse_around_workspaces(
    content: dict[str, Any], pending: Path, source_id: str, project_workspace: Path | None
) -> None:
    """Agents may not change files in queue folders: one that holds a workspace would deny them every edit."""
    others = document.sources_of(content)
    given = [
        project_workspace,
        document.common_workspace(content),
        *(entry.project_workspace for entry in others),
    ]
    workspaces = [_real(Path(path)) for path in given if path]
    pairs = [(pending.parent, workspace) for workspace in workspaces]
    if project_workspace is not None:
        pairs += [(_real(entry.queue), _real(project_workspace)) for entry in others]
    for queue, workspace in pairs:
        if workspace.is_relative_to(queue):
            raise ConfigError(
                f"the workspace {workspace} is inside the queue folder {queue}, in which agents may not change files",
                hint=f"give the queue a folder of its own: task-queue sources add"
                f" {shlex.quote(str(workspace / 'tasks' / source_id))} --id {shlex.quote(source_id)}",
            )


def _pending_of(path: Path) -> Path:
    if not str(path) or "\0" in str(path):
        raise ConfigError(f"{str(path)!r} is not a path", hint="name the queue's folder")
    real = _real(path)
    if not str(real).isprintable():
        raise ConfigError(f"{str(real)!r}: a source's path must be printable text", hint="rename the folder")
    demand_closable(real)
    return real if real.name == "pending" else real / "pending"


def demand_closable(path: Path) -> None:
    """Raise ConfigError if agents could not be kept out of a queue at *path*."""
    problem = document.why_not_closed(path)
    if problem:
        raise ConfigError(problem, hint="rename the folder, or make the queue in another one")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _listed(content: dict[str, Any]) -> list[Any]:
    listed: Any = content.setdefault(SOURCES, [])
    if not isinstance(listed, list):
        raise ConfigError(f"{SOURCES}: must be a list", hint="correct it, then try again")
    return listed  # pyright: ignore[reportUnknownVariableType] # JSON's values are anything


def _list(
    content: dict[str, Any], pending: Path, *, source_id: str, now: datetime, description: str
) -> dict[str, Any]:
    item = {
        "id": source_id,
        "path": str(pending),
        "description": description,
        "added_at": now.isoformat(),
    }
    _listed(content).append(item)
    return item


def _is(item: object, source_id: str) -> bool:
    return isinstance(item, dict) and cast("dict[str, object]", item).get("id") == source_id


def _find(content: dict[str, Any], source_id: str) -> SourceEntry | None:
    return next((entry for entry in document.sources_of(content) if entry.id == source_id), None)


def _named(content: dict[str, Any], source_id: str) -> SourceEntry:
    entry = _find(content, source_id)
    if entry is not None:
        return entry
    known = ", ".join(entry.id for entry in document.sources_of(content)) or "none"
    raise ConfigError(f"there is no source '{source_id}'", hint=f"known sources: {known}")
