"""``check``: what the queue would say of a document, without handing it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from task_queue.app.adding import bytes_of
from task_queue.app.installation import Installation
from task_queue.app.source_here import source_here
from task_queue.config.document import SourceEntry, layers_of
from task_queue.domain.document.layers import Layers, task_under
from task_queue.domain.errors import ConfigError, TaskFileError, TaskQueueError
from task_queue.domain.task import Task, TaskId


@dataclass(frozen=True, slots=True)
class FaultView:
    line: int | None
    what: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class CheckedDocument:
    """``source``: under whose settings it was checked, None where only the document itself was."""

    file: str
    source: str | None
    title: str
    faults: tuple[FaultView, ...] = ()
    """Why it would be rejected, in the order of the lines; none if it would run."""
    notes: tuple[str, ...] = ()
    """What does not keep it from running, and is perhaps not meant."""


def check_files(
    installation: Installation, paths: Sequence[Path], *, source_id: str | None, directory: Path
) -> list[CheckedDocument]:
    """Each of *paths* under the settings of the source *source_id*.

    Without it, of the source in whose queue the file is, or else of the one that works in *directory*. Raises
    TaskQueueError if *source_id* names no source.
    """
    checked: list[CheckedDocument] = []
    for path in paths:
        source = installation.entry(source_id) if source_id else _source_of(installation, path, directory)
        checked.append(_checked_file(installation, path, source))
    return checked


def check(
    installation: Installation, document: bytes, *, file: str, source: SourceEntry | None
) -> CheckedDocument:
    """*document*, which came from *file*."""
    known = source.id if source else None
    layers = layers_of(installation.content, source) if source else Layers()
    try:
        task, _ = task_under(layers, document, TaskId("task-new"))
    except TaskFileError as error:
        faults = tuple(FaultView(fault.line, fault.what, fault.hint) for fault in error.faults)
        return CheckedDocument(file, known, "", faults)
    return CheckedDocument(file, known, task.title, notes=tuple(_notes(installation, task, source)))


def _checked_file(installation: Installation, path: Path, source: SourceEntry | None) -> CheckedDocument:
    try:
        data = bytes_of(path)
    except TaskQueueError as error:
        known = source.id if source else None
        return CheckedDocument(str(path), known, "", (FaultView(None, str(error), error.hint),))
    return check(installation, data, file=str(path), source=source)


def _source_of(installation: Installation, path: Path, directory: Path) -> SourceEntry | None:
    try:
        entries = installation.entries()
        file = path.resolve()
        queues = (entry for entry in entries if file.is_relative_to(entry.queue.resolve()))
        return next(queues, None) or source_here(installation, directory)
    except (ConfigError, TaskQueueError):
        return None


def _notes(installation: Installation, task: Task, source: SourceEntry | None) -> list[str]:
    from task_queue.app.finding import state_of

    if source is None:
        return []
    sources = installation.sources()
    missing = [each for each in task.given.get("depends_on", ()) if state_of(sources, each) is None]
    return [f"depends_on: there is no task {each} yet" for each in missing]
