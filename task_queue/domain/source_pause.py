"""What a person asked of a source: to start nothing new, for as long as it takes, or to say when nothing runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SourcePauseState(StrEnum):
    """How a source stands that starts nothing new."""

    PAUSED = "paused"
    DRAINING = "draining"
    """Something of it still runs, and the daemon reports once nothing does."""
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class SourcePause:
    """Of one source, until a person resumes it. ``since`` is the time of the request, by which it is known."""

    state: SourcePauseState
    since: str


PAUSED_BY_COMMAND, PAUSED_BY_CONFIGURATION = "command", "configuration"


def paused_by(pause: SourcePause | None, *, by_configuration: bool) -> str | None:
    """What pauses a source: the command *pause* of a person, or the configuration."""
    if pause is not None:
        return PAUSED_BY_COMMAND
    return PAUSED_BY_CONFIGURATION if by_configuration else None


def go_on_command(source: str, *, by_configuration: bool) -> str:
    """What lets a paused *source* go on: no command but that one changes what the configuration says."""
    if by_configuration:
        return f"task-queue config set sources.{source}.paused false"
    return f"task-queue sources resume {source}"
