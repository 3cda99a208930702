"""The steps in which the queue itself moved branches of the owner, kept in the owner's repository.

So that they are not taken for what an agent did there meanwhile. What cannot be read counts as not known.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.work.repository_changes import RefMove
from task_queue.platform import durable
from task_queue.platform.records import UnreadableRecordError, decode, encode

_NAME = "task-queue-landings.json"
_LIMIT = 2**20
_KEPT = 500


@dataclass(frozen=True, slots=True)
class _Landings:
    moves: tuple[RefMove, ...] = ()


def landings_in(common_dir: Path) -> tuple[RefMove, ...]:
    """Oldest first; some of them may not have been taken."""
    with suppress(OSError, UnreadableRecordError):
        return decode(_Landings, durable.read_regular(common_dir / _NAME, limit=_LIMIT)[0]).moves
    return ()


def announce_landing(common_dir: Path, move: RefMove) -> None:
    """Where it cannot be noted, the step counts as a change that was made meanwhile."""
    with suppress(OSError):
        durable.replace(common_dir / _NAME, encode(_Landings((*landings_in(common_dir), move)[-_KEPT:])))
