"""What to do with a claim that is in a source: facts in, one repair out.

The same table serves at start, after a worker's wait and after recovery itself was killed, because it
looks only at what is on disk and who is alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """What can be seen of one claim."""

    ending: bool
    """The attempt's ending is committed."""
    run: bool
    """A run record is there, the tombstone included."""
    abandoned: bool
    """The run record is the tombstone."""
    acted: bool
    """Although the run record is the tombstone, an agent may have worked: its own record was deleted."""
    runner_alive: bool
    result_in_transcript: bool
    """The agent reported its end, but no process committed it."""


class Repair(StrEnum):
    SETTLE = "settle"
    """The attempt has ended: go on from there."""
    ADOPT = "adopt"
    """The runner lives: wait for it as if it had been started here."""
    ABANDON = "abandon"
    """No runner has shown itself: publish the tombstone, then look again."""
    RELEASE = "release"
    """The agent never acted: give the task back, uncounted."""
    REBUILD = "rebuild"
    """Runner dead after the agent had finished: end its tree, commit the ending from the transcript."""
    CRASHED = "crashed"
    """Runner dead in the middle: end its tree, commit the attempt as crashed."""


def repair_for(facts: ClaimFacts) -> Repair:
    """The row of the crash table that *facts* fall into."""
    if facts.runner_alive:  # whatever files are there: nothing is settled while its runner could still act
        return Repair.ADOPT
    if facts.ending:
        return Repair.SETTLE
    if not facts.run:
        return Repair.ABANDON
    if facts.abandoned:
        return Repair.CRASHED if facts.acted else Repair.RELEASE
    return Repair.REBUILD if facts.result_in_transcript else Repair.CRASHED
