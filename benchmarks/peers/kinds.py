"""What the benchmark asks of a queue, ours and others'."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class Queue(Protocol):
    """One that is ready for jobs, and is over with its context."""

    def enqueue(self, number: int) -> None:
        """Hand in *number* jobs, one after the other."""
        ...

    def work(self) -> None:
        """Start what carries them out; returns at once."""
        ...


class Peer(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def promise(self) -> str:
        """What becomes of a job that it said it has."""
        ...

    @property
    def starts_at_once(self) -> bool:
        """Whether it has no worker to be started: handing in and carrying out are measured together."""
        ...

    def why_not(self) -> str | None:
        """Why it cannot be measured here; None where it can."""
        ...

    def opened(self, folder: Path, job: Sequence[str]) -> AbstractContextManager[Queue]: ...
