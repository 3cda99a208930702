"""``doctor`` on what set-up made and is kept."""

from __future__ import annotations

from collections.abc import Iterator

from task_queue.app.doctor.check import DoctorCheck
from task_queue.app.installation import Installation
from task_queue.app.spelling import size
from task_queue.app.worktrees import kept_set_ups


def set_ups(installation: Installation) -> Iterator[DoctorCheck]:
    """How much is kept for each source, and of which set-up nothing is."""
    lines = kept_set_ups(installation)
    for source in dict.fromkeys(line.source for line in lines):
        kept = [line for line in lines if line.source == source and line.not_kept is None]
        if kept:
            total = size(sum(line.size_bytes for line in kept))
            yield DoctorCheck("ok", f"source '{source}': set-up is kept, {len(kept)} times: {total}")
        for line in lines:
            if line.source == source and line.not_kept is not None:
                what = f"source '{source}': set-up runs for every checkout, because {line.not_kept}"
                yield DoctorCheck("warning", what, "correct it, then: task-queue worktrees prune")
