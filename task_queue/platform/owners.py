"""Processes as owners: what a claim or a run record says of who holds it, and back to the process."""

from __future__ import annotations

import json

from task_queue.domain.model import Owner
from task_queue.platform.identity import ProcessIdentity, own_identity

PROCESS = "process"


def owner_of(process: ProcessIdentity, thread: str = "") -> Owner:
    """*thread* is for people: a claim's worker is one of many threads of its process."""
    return Owner(
        PROCESS,
        json.dumps([process.pid, process.pid_start_ticks, process.boot_id, process.pid_namespace, thread]),
    )


def this_process(thread: str = "") -> Owner:
    return owner_of(own_identity(), thread)


def process_of(owner: Owner) -> tuple[ProcessIdentity, str] | None:
    """The process and thread that *owner* names; None if it names something else."""
    if owner.kind != PROCESS:
        return None
    pid, ticks, boot_id, namespace, thread = json.loads(owner.name)
    return ProcessIdentity(pid, ticks, boot_id, namespace), thread
