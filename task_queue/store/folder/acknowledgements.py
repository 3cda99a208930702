"""What a person has seen of a result. In files of their own: results and the index of those that need a person stay."""

from __future__ import annotations

from task_queue.domain.attention import Acknowledgement
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.json_files import json_object, text_in, texts_in
from task_queue.store.folder.layout import Layout

_SCHEMA_VERSION = 1


def acknowledge(layout: Layout, task_id: TaskId, seen: Acknowledgement, *, at: str) -> None:
    """Keep *seen* in the place of what was seen before; *at* is now, in ISO 8601. Raises OSError."""
    from task_queue.platform.records import encode
    from task_queue.store.folder.files import replace_file

    durable.make_directory(layout.acknowledged)
    content = {
        "task_id": task_id,
        "at": at,
        "completed_at": seen.completed_at,
        "sentences": sorted(seen.sentences),
        "schema_version": _SCHEMA_VERSION,
    }
    replace_file(layout, layout.acknowledgement(task_id), encode(content))


def acknowledgement_of(layout: Layout, task_id: TaskId) -> Acknowledgement | None:
    """None if a person has seen nothing, or what is kept of it cannot be read: then it is shown again."""
    content = json_object(layout.acknowledgement(task_id))
    if not isinstance(content, dict):
        return None
    return Acknowledgement(text_in(content, "completed_at") or "", frozenset(texts_in(content, "sentences")))
