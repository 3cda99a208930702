"""What of the results that need a person was neither settled nor acknowledged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from task_queue.domain.attention import AttentionKind
from task_queue.domain.document import naming
from task_queue.domain.task import TaskId
from task_queue.platform.json_files import json_object, records_in, text_in
from task_queue.store.folder.acknowledgements import acknowledgement_of
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.states import ended_state

IsSettled = Callable[[str], bool]
"""Whether the command that a result names has nothing to do any more: its branch was merged, or is gone."""


def open_needs(layout: Layout, path: Path, is_settled: IsSettled) -> Iterator[tuple[TaskId, str, str, str]]:
    """Task, kind, sentence and command of each need of the result at *path*, which was written when its task ended.

    Nothing once the document is gone from where it ended: then a person has retried, filed or deleted it by hand.
    """
    content = json_object(path)
    if content is None or isinstance(content, str):
        return
    needs = tuple(records_in(content, "attention"))
    task_id = TaskId(text_in(content, "task_id") or "")
    if not needs or not naming.is_task_id(task_id) or ended_state(layout, task_id) is None:
        return
    seen, completed_at = acknowledgement_of(layout, task_id), text_in(content, "completed_at") or ""
    for each in needs:
        kind, sentence, command = (text_in(each, key) or "" for key in ("kind", "sentence", "command"))
        if seen is not None and seen.covers(sentence, completed_at=completed_at):
            continue
        if kind == AttentionKind.NOT_LANDED and is_settled(command):
            continue
        yield task_id, kind, sentence, command


def has_unreviewed(layout: Layout, at_least: int, is_settled: IsSettled) -> bool:
    """Whether so many results wait for a person. Costs as much as there are such results, at most *at_least*."""
    try:
        with os.scandir(layout.needing) as entries:
            names = sorted((entry.name for entry in entries), reverse=True)
    except OSError:
        return False
    found = 0
    for name in names:
        found += any(open_needs(layout, layout.results / name, is_settled))
        if found >= at_least:
            return True
    return False
