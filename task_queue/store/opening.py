"""Which engine opens what: the only module that knows all of them."""

from __future__ import annotations

from pathlib import Path

from task_queue.domain.model import Claim
from task_queue.ports.attempt_log import LogAddress
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.store.folder.attempt_writer import FolderAttemptWriter
from task_queue.store.folder.attempts import ENGINE


def open_log(address: LogAddress, claim: Claim) -> AttemptWriter:
    """The log at *address* of the attempt of *claim*, for its runner. Raises ValueError if no engine keeps such."""
    if address.engine == ENGINE:
        return FolderAttemptWriter(Path(address.location), claim)
    raise ValueError(f"there is no engine of the kind {address.engine!r}")
