"""What a shell offers for a word that is begun: tasks, sources, schedules, templates, by the names of files alone.

Only names that mean themselves in every shell are offered: the name of a task's file is another program's choice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from task_queue.app.installation import Installation
from task_queue.config.locations import data_home
from task_queue.domain.document import naming
from task_queue.domain.task import ENDED, TaskState
from task_queue.platform import durable
from task_queue.store.folder.layout import Layout

SHELLS = ("bash", "zsh", "fish")
_MOST = 200
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OURS = "# written by task-queue\n"


def task_ids(installation: Installation, begun: str, states: Iterable[TaskState]) -> list[str]:
    """Ids of tasks in *states* that begin with *begun*, the newest first; else the one in which it occurs."""
    wanted = frozenset(states)
    found: list[str] = []
    for entry in installation.entries():
        found += _ids_in(Layout(entry.path), wanted)
    ids = sorted(filter(_SAFE.fullmatch, dict.fromkeys(found)), key=naming.natural, reverse=True)
    inside = [task_id for task_id in ids if begun in task_id]
    return _beginning(ids, begun)[:_MOST] or (inside if len(inside) == 1 else [])


def source_ids(installation: Installation, begun: str) -> list[str]:
    return _beginning([entry.id for entry in installation.entries()], begun)


def schedule_names(installation: Installation, begun: str) -> list[str]:
    folders = (Layout(entry.path).schedules for entry in installation.entries())
    names = {path.stem for folder in folders for path in folder.glob("*.md")}
    return _beginning(sorted(filter(_SAFE.fullmatch, names)), begun)


def template_names(installation: Installation, begun: str) -> list[str]:
    from task_queue.app.templates import template_files

    return _beginning(sorted({path.stem for _, path in template_files(installation)}), begun)


def install_scripts(scripts: dict[str, str]) -> list[Path]:
    """Write the scripts where bash and fish find those of their user; a file that is not ours stays. Raises OSError."""
    written: list[Path] = []
    for shell, path in _places():
        if not os.path.lexists(path) or _is_ours(path):
            durable.make_directory(path.parent)
            durable.replace(path, (_OURS + scripts[shell]).encode())
            written.append(path)
    return written


def remove_scripts() -> None:
    """Raises OSError."""
    for _, path in _places():
        if _is_ours(path):
            durable.remove(path)


def _places() -> Iterator[tuple[str, Path]]:
    """zsh has no folder for the scripts of a user."""
    yield "bash", data_home() / "bash-completion" / "completions" / "task-queue"
    yield "fish", data_home() / "fish" / "vendor_completions.d" / "task-queue.fish"


def _is_ours(path: Path) -> bool:
    try:
        return durable.read_regular(path, limit=len(_OURS))[0].startswith(_OURS.encode())
    except OSError:
        return False


def _ids_in(layout: Layout, wanted: frozenset[TaskState]) -> Iterator[str]:
    for state in wanted.intersection(ENDED):
        yield from (name.removesuffix(".md") for name in _documents(_names(layout.ended(state))))
    if wanted.isdisjoint({TaskState.PENDING, TaskState.RUNNING}):
        return
    names = _names(layout.pending)
    for name in _documents(names):
        state = TaskState.RUNNING if naming.lock_of(name) in names else TaskState.PENDING
        if state in wanted:
            yield name.removesuffix(".md")


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return frozenset()


def _documents(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if naming.why_not_a_task(name) is None)


def _beginning(words: Iterable[str], begun: str) -> list[str]:
    return [word for word in words if word.startswith(begun) and _SAFE.fullmatch(word)]
