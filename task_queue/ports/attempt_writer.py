"""The seam between a runner and the log of its attempt: the only thing of the queue that a runner writes to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from task_queue.domain.model import Ending, RunRecord
from task_queue.ports.executor import Transcript


class OpenTranscript(Transcript, Protocol):
    def close(self) -> None:
        """Make what was written durable; raises OSError."""
        ...


class AttemptWriter(Protocol):
    """One attempt's log in the hands of its runner. Every method may raise OSError.

    The order of a runner's life is the crash protocol: it shows itself, asks whether the claim stands, and
    only then acts; the ending is the last that it writes.
    """

    def show(self, run: RunRecord) -> bool:
        """Publish who runs the attempt; False if recovery had given the attempt up before."""
        ...

    def claim_stands(self) -> bool:
        """Whether the claim is still the one that this attempt was started for."""
        ...

    def transcript(self, *, limit_mb: int, secrets: Iterable[str]) -> OpenTranscript:
        """Begin, or go on with, the attempt's transcript; none of *secrets* is written to it."""
        ...

    def transcript_lines(self) -> Iterable[str]:
        """What the transcript holds so far; none if there is none."""
        ...

    def add_step(self, line: str) -> None:
        """Note a finished step of this attempt; it is durable when this returns."""
        ...

    def steps(self, attempt: int) -> Sequence[str]:
        """Lines of the finished steps of *attempt*, this one or an earlier one of the task; none if there are none."""
        ...

    def commit(self, ending: Ending) -> bool:
        """Publish how it ended; False if there is an ending already. Raises ClaimLost where the source is gone."""
        ...

    def ending(self) -> Ending | None:
        """The ending that is there; None if there is none, or none that can be read."""
        ...

    def set_ending_aside(self) -> str | None:
        """Keep the ending that is there under another name, and say under which; None if it is gone."""
        ...

    def errors(self) -> int:
        """A descriptor for what the runner's process writes to its standard output and error."""
        ...

    def unfinished(self) -> frozenset[str]:
        """Keys (``naming.key_of``) of the source's tasks that run or will be tried again.

        Raises ValueError where that cannot be read.
        """
        ...
