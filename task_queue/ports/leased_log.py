"""The seam to what is known of attempts that workers out of sight carry out: who holds one, what it reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from task_queue.domain.model import Claim, RunRecord
from task_queue.domain.task import TaskId
from task_queue.ports.claims import KeyedOrder, ToldProgress, WorkerReport


@dataclass(frozen=True, slots=True)
class HeldFrames:
    """Lines of a transcript."""

    count: int = 0
    """Those that were dropped included, as far as this process has seen it."""
    is_full: bool = False
    """From here on only what the verdict needs is kept."""


class LeasedLog(Protocol):
    """Of one source. What is written is durable when a method returns. Every method raises EngineUnavailable."""

    def begin(self, run: RunRecord, keyed: KeyedOrder | None) -> None:
        """Say who holds the attempt: from here on it is a worker's, over kills of this process.

        *keyed* is durable before that.
        """
        ...

    def run_of(self, task_id: TaskId, attempt: int) -> RunRecord | None:
        """None where no worker held that attempt."""
        ...

    def keyed_order_of(self, claim: Claim) -> KeyedOrder | None:
        """None where the claim was asked for without a key."""
        ...

    def last_attempt(self, task_id: TaskId) -> int: ...

    def has_ended(self, claim: Claim) -> bool: ...

    def state_of(self, task_id: TaskId) -> str: ...

    def report(self, claim: Claim, report: WorkerReport) -> bool:
        """Keep how a worker says that it ended; False if it, or another process, has said it before."""
        ...

    def report_of(self, claim: Claim) -> WorkerReport | None: ...

    def has_artifact(self, claim: Claim, name: str) -> bool:
        """Whether that artifact of the task is whole."""
        ...

    def note_progress(self, claim: Claim, progress: ToldProgress) -> None:
        """Keep how far the task is, for people and over kills of this process."""
        ...

    def add_frames(
        self, claim: Claim, offset: int, lines: Sequence[str], *, held: HeldFrames, room: int
    ) -> HeldFrames:
        """Add what of *lines* is not among those *held* already; what is held then.

        Beyond *room* bytes no more than what the verdict needs is kept; the other lines count nevertheless. Raises
        FramesMissingError.
        """
        ...

    def frames_of(self, claim: Claim) -> HeldFrames:
        """What is there."""
        ...
