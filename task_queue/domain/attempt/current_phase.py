"""Which phase a running attempt is in, from the notes of its transcript."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PHASE = "phase"
"""Type of the note that says which phase begins."""
CHECK_STARTED = "check_started"
"""Type of the note that says which command of set-up or verification begins."""
CHECK = "check"
"""Type of the note with how one ended; these follow when all have."""
_NAMES = {"prepare": "setup", "land": "landing"}


def shown_name(phase: str) -> str:
    """As people read the *phase* that results and transcripts name."""
    return _NAMES.get(phase, phase)


@dataclass(eq=False, repr=False, slots=True)
class CurrentPhase:
    """After the envelopes taken in so far; no name where none of them says it."""

    name: str | None = None
    """``setup``, ``implement``, ``verify``, ``audit``, ``commit``, ``landing`` or ``command``."""
    since: datetime | None = None
    round: int | None = None
    rounds: int | None = None
    """At most so many."""
    command: str | None = None
    """Of set-up or verification, while it runs."""
    purpose: str | None = None
    """What *command* is for: ``setup`` or ``verify``."""

    def add(self, direction: str, frame: Mapping[str, Any] | str, at: datetime) -> None:
        """Take in one envelope."""
        if direction in {"in", "err"} or isinstance(frame, str):
            return
        kind = frame.get("type")
        if kind == PHASE:
            name, _, number = str(frame.get("phase")).partition(" ")
            self._begin(shown_name(name), at)
            self.round = int(number) if number.isdecimal() else None
            rounds: object = frame.get("rounds")
            self.rounds = rounds if isinstance(rounds, int) else None
        elif kind == "command":
            self._begin("command", at)
        elif kind == CHECK_STARTED:
            command, purpose = str(frame.get("command")), str(frame.get("purpose"))
            if self.name in {None, "command"}:  # a command has no phases
                self._begin(purpose, at)
            self.command, self.purpose = command, purpose
        elif kind == CHECK:
            self.command = self.purpose = None

    def _begin(self, name: str, at: datetime) -> None:
        self.name, self.since = name, at
        self.round = self.rounds = self.command = self.purpose = None

    def __str__(self) -> str:
        """Such as ``implement 2/3`` and ``verify `pytest -q```; empty where the phase is not known."""
        said = self.name or ""
        if self.name == "implement" and self.round is not None and self.rounds is not None:
            said += f" {self.round}/{max(self.round, self.rounds)}"
        if self.command is None:
            return said
        apart = " " if self.purpose == self.name else f": {self.purpose} "
        return f"{said}{apart}`{self.command}`"
