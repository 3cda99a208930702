"""The claims that this worker holds, on disk, so that it goes on with them after a restart."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

from task_queue.app.claiming import ClaimView
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.records import UnreadableRecordError, decode, encode

_LARGEST = 64 * 2**20
_KEY = re.compile("[0-9a-f]{32}")


class ClaimStage(StrEnum):
    CLAIMED = "claimed"
    """Its task is not in the private queue yet."""
    RUNNING = "running"
    """It is."""
    ENDED = "ended"
    """What is to be reported is known."""
    LOST = "lost"
    """The server does not count it any more: what still runs of it is ended."""


@dataclass(frozen=True, slots=True)
class FramesSent:
    """How far the transcripts of the task are on the server: ``offset`` bytes of ``attempt``, ``lines`` in total."""

    attempt: int = 1
    offset: int = 0
    lines: int = 0


@dataclass(frozen=True, slots=True)
class EndReport:
    """What is said at the end. ``verb``: ``complete``, ``fail`` or ``release``."""

    verb: str
    outcome: dict[str, Any]
    work: dict[str, Any] = field(default_factory=dict[str, Any])
    branch: str | None = None
    """The local branch whose commits are handed in."""
    tip: str | None = None


@dataclass(frozen=True, slots=True)
class HeldTask:
    """One claim. ``local_id``: the task in the private queue."""

    slot: int
    source: str
    claim: ClaimView
    local_id: TaskId
    stage: ClaimStage = ClaimStage.CLAIMED
    workspace: Path | None = None
    sent: FramesSent = FramesSent()
    report: EndReport | None = None

    @property
    def task_id(self) -> TaskId:
        return self.claim.order.task_id


class HeldTasks:
    """One file for each slot, in *folder*, and one with the key under which it asks. Methods raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def key_of(self, slot: int) -> str:
        """Under which *slot* asks for its next claim: the same until it has one, over restarts."""
        with suppress(FileNotFoundError):
            data, _ = durable.read_regular(self._key_path(slot), limit=_LARGEST)
            if _KEY.fullmatch(text := data.decode(errors="replace")):
                return text
        key = uuid4().hex
        durable.make_directory(self._folder)
        durable.replace(self._key_path(slot), key.encode())
        return key

    def claimed(self, held: HeldTask) -> HeldTask:
        """Keep what was got under the key, which has done its work."""
        self.keep(held)
        durable.remove(self._key_path(held.slot))
        return held

    def keep(self, held: HeldTask) -> HeldTask:
        durable.make_directory(self._folder)
        durable.replace(self._path(held.slot), encode(held))
        return held

    def of(self, slot: int) -> HeldTask | None:
        """None also where the file is not what it should be: its lease ends by itself."""
        try:
            data, _ = durable.read_regular(self._path(slot), limit=_LARGEST)
            return decode(HeldTask, data)
        except (FileNotFoundError, UnreadableRecordError):
            return None

    def forget(self, slot: int) -> None:
        durable.remove(self._key_path(slot))  # still there if we were killed right after the claim was kept
        durable.remove(self._path(slot))

    def _path(self, slot: int) -> Path:
        return self._folder / f"{slot}.json"

    def _key_path(self, slot: int) -> Path:
        return self._folder / f"{slot}.key"
