"""What a process of this user may do as a client: everything, or within an attempt what its task allows."""

from __future__ import annotations

from task_queue.domain.policy import EVERYTHING, EVERYTHING_ALLOWED, OWNER, AccessPolicy, AccessRole, Caller
from task_queue.platform.attempt_marker import marker_here

_NOTHING = AccessPolicy(())
_ALL = (EVERYTHING,)


def caller_here(*, read_only: bool = False) -> Caller:
    """The owner, or the task in whose attempt this process runs; *read_only*: without any change."""
    marker = marker_here()
    if marker is not None:
        return caller_in(marker)
    if read_only:
        return Caller(OWNER, AccessPolicy((AccessRole.READ,), _ALL, _ALL, _ALL, _ALL, _ALL))
    return Caller(OWNER, EVERYTHING_ALLOWED)


def caller_in(marker: str) -> Caller:
    """An agent of the attempt *marker* sees its own task, and changes nothing; of an unknown form, nothing at all."""
    source, *rest = marker.rsplit(":", 3)
    if len(rest) != 3 or not source:
        return Caller("task:unknown", _NOTHING)
    task_id = rest[0]
    policy = AccessPolicy((AccessRole.READ,), (source,), _ALL, _ALL, _ALL, _ALL, own=True)
    return Caller(f"task:{task_id}", policy, task_id=task_id)
