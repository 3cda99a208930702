"""The seam to what is known of attempts: who runs one, what it says, which steps it finished, how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from task_queue.domain.model import Claim, Ending, RunRecord


@dataclass(frozen=True, slots=True)
class LogAddress:
    """From which a runner opens the log of its attempt (``store.opening``); travels in its order."""

    engine: str
    """Which kind of engine keeps the log."""
    location: str
    """Where, as that engine spells it."""


@dataclass(frozen=True, slots=True)
class AttemptPlace:
    """What the machine that runs an attempt needs to know of where the attempt is kept."""

    log: LogAddress
    document: Path
    """The task's text as it was at the claim, for the agent to read."""
    scratch: Path
    """A folder of the attempt alone, for what its agent's program needs."""
    artifacts: Path | None = None
    """The folder of the files that came with the task, which need not be there."""
    base_commit: str | None = None
    """Which the work has to build on: what is checked out where the task came in; None: what is checked out here."""


class AttemptLog(Protocol):
    """The attempts of one source, as their worker sees them.

    Every method may raise EngineUnavailable when the source cannot be read or written.
    """

    def place_of(self, claim: Claim) -> AttemptPlace: ...

    def run_of(self, claim: Claim) -> RunRecord | None: ...

    def runs_out_of_sight(self, claim: Claim) -> bool:
        """Whether the runner lives although its process id means nothing here: in a container, on another machine.

        Raises NeedsPersonError where that cannot be known.
        """
        ...

    def abandon(self, claim: Claim, *, now: datetime) -> RunRecord:
        """Publish the tombstone unless a runner came first; return the record that stands."""
        ...

    def commit(self, claim: Claim, ending: Ending) -> Ending:
        """Record how the attempt ended; return the ending that stands (an earlier one wins)."""
        ...

    def ending_of(self, claim: Claim) -> Ending | None: ...

    def is_genuine(self, claim: Claim, ending: Ending) -> bool:
        """Whether *ending* was committed by its runner or by this queue, as far as the records show."""
        ...

    def set_ending_aside(self, claim: Claim) -> None:
        """Keep the ending that is recorded under another name: it is not what it claims to be."""
        ...

    def transcript(self, claim: Claim) -> Iterable[str]:
        """The lines of the attempt's transcript, as far as they were written; none if there is none."""
        ...

    def steps(self, claim: Claim) -> Sequence[str]:
        """The lines of the attempt's finished steps; none if there are none."""
        ...

    def may_have_acted(self, claim: Claim) -> bool:
        """Whether an agent may have worked on the attempt although no run record says so: then it left a
        transcript, or what would say so was deleted."""
        ...
