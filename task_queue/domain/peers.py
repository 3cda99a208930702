"""Which hosts of a fleet are dead, as one of them sees it. Pure: the time is an argument.

Each host counts a number up in the database for as long as it lives. No clock of another machine is compared, and
nothing is concluded from a time in which this process could not have seen the number grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LEASE_S = 30.0
"""For that long a number has to stand still before its host is dead."""
LONGEST_GAP_S = 5.0
"""Between two looks; after a longer one (an outage, a frozen process) the watching begins anew."""
Peer = tuple[str, int]
"""A host and its life: one that joined again is another."""


@dataclass(frozen=True, slots=True)
class _LastBeat:
    beats: int
    since: float


class PeerWatch:
    """What this process has seen of the other hosts since it looks without a gap.

    Times are seconds of a clock that only grows.
    """

    def __init__(self) -> None:
        self._seen: dict[Peer, _LastBeat] = {}
        self._looked_at: float | None = None

    def look(self, beats: Mapping[Peer, int], now: float) -> tuple[Peer, ...]:
        """Take note of all *beats* as they stand; the peers that are dead by now."""
        if self._looked_at is not None and now - self._looked_at > LONGEST_GAP_S:
            self._seen = {}
        self._looked_at = now
        self._seen = {
            peer: seen if (seen := self._seen.get(peer)) and seen.beats == number else _LastBeat(number, now)
            for peer, number in beats.items()
        }
        return tuple(peer for peer, seen in self._seen.items() if now - seen.since >= LEASE_S)

    def lose_sight(self) -> None:
        """The database did not answer: a silent host may only be cut off, as this process is."""
        self._seen = {}


def must_stop(heard_at: float, now: float) -> bool:
    """Whether a host that last counted at *heard_at* has to end what it runs: others may soon take it for dead."""
    return now - heard_at >= LEASE_S / 2


class HostState(StrEnum):
    """For people; nothing is taken over because of it."""

    NEW = "new"
    """No process has joined under its name."""
    UP = "up"
    SILENT = "silent"


def host_state(heard_s_ago: float | None) -> HostState:
    """Of a host that the database has heard of last so many seconds ago; None: never."""
    if heard_s_ago is None:
        return HostState.NEW
    return HostState.SILENT if heard_s_ago >= LEASE_S else HostState.UP
