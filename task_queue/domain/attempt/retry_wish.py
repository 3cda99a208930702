"""What a person asks of the attempt that a retry leads to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from task_queue.domain.text import without_invisible

MOST_NOTE_CHARS = 2000


class RetryFrom(StrEnum):
    """Which phase is the first that is done again."""

    VERIFY = "verify"
    AUDIT = "audit"
    LAND = "land"


@dataclass(frozen=True, slots=True)
class RetryWish:
    """Nothing in particular, by default."""

    fresh: bool = False
    """In a new session and a new checkout, from what the target is then."""
    note: str = ""
    """For the agent, in a person's words."""
    model: str | None = None
    """In place of the one that the settings name, until the task has ended."""
    begin_at: RetryFrom | None = None
    """What was done before that phase counts as it is; None: the agent works again."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "note", " ".join(without_invisible(self.note).split()))

    @property
    def problem(self) -> str | None:
        """Why it makes no sense, whatever the task is."""
        if self.fresh and self.begin_at is not None:
            return f"--fresh does everything again, and --from {self.begin_at} does not: choose one"
        if len(self.note) > MOST_NOTE_CHARS:
            return f"the note has {len(self.note):,} characters, and {MOST_NOTE_CHARS:,} are the most"
        if self.begin_at is RetryFrom.LAND and (self.note or self.model):
            return "to land needs no agent: a note or a model would change nothing"
        return None


NO_WISH = RetryWish()
