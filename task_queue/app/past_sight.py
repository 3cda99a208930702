"""What of the past a caller sees: ends of tasks that its policy allows."""

from __future__ import annotations

from collections.abc import Callable

from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments, tracked
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.policy import Caller


def sees_ends(installation: Installation, caller: Caller, kept: KeptDocuments) -> Callable[[str, str], bool]:
    """Asked with a source and a task. A task that is gone is seen only by who sees everything."""

    def sees(source: str, task_id: str) -> bool:
        if caller.policy.is_unlimited:
            return True
        if not caller.policy.allows_source(source):
            return False
        try:
            tracked(installation, task_id, caller, kept)
        except UnknownTaskError:
            return False
        return True

    return sees
