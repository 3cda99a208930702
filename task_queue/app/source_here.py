"""Which source a person means who names none: the one that works in the directory they are in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from task_queue.app.installation import Installation
from task_queue.config import document
from task_queue.config.document import SourceEntry
from task_queue.domain.errors import TaskQueueError

_OF_EQUALS = "ad-hoc"


def source_here(installation: Installation, directory: Path) -> SourceEntry:
    """The source whose workspace or queue folder is *directory* or the nearest folder above it.

    Of several that are equally near, ``ad-hoc``: ``init`` makes it for tasks without a plan. Raises TaskQueueError
    where no source works there, or where several do and none of them is ``ad-hoc``.
    """
    entries = installation.entries()
    if not entries:
        raise TaskQueueError("there is no source yet", hint="make the usual ones with: task-queue init")
    here = directory.resolve()
    distances = {entry.id: min(_distances(installation, entry, here), default=None) for entry in entries}
    known = [distance for distance in distances.values() if distance is not None]
    nearest = [entry for entry in entries if known and distances[entry.id] == min(known)]
    usual = [entry for entry in nearest if len(nearest) == 1 or entry.id == _OF_EQUALS]
    if usual:
        return usual[0]
    choice = ", ".join(entry.id for entry in nearest or entries)
    name_one = f"name one with --source: {choice}"
    if nearest:
        raise TaskQueueError(f"several sources work in {here}", hint=name_one)
    make_one = (
        "or make one for this folder with: task-queue sources add tasks/NAME --id NAME --project-workspace ."
    )
    raise TaskQueueError(f"no source works in {here}", hint=f"{name_one}; {make_one}")


def _distances(installation: Installation, entry: SourceEntry, here: Path) -> Iterator[int]:
    """How many folders *here* is below each place of the source *entry* that holds it."""
    for place in (document.workspace_of(installation.content, entry), entry.queue.resolve()):
        if place is not None and here.is_relative_to(place):
            yield len(here.parts) - len(place.parts)
