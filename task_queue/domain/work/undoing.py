"""How what a task landed is taken back, or why that is not done. Pure; decides from what git says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from task_queue.domain.work.repository_changes import RefMove

_FEW = 3


class UndoWay(StrEnum):
    """How a branch comes to be without the work."""

    MOVE_BACK = "move_back"
    """It is again where it was before the work, as if that had never been there."""
    REVERT = "revert"
    """It gets one more commit."""


@dataclass(frozen=True, slots=True)
class LandedWork:
    """The work of a task as the repository has it."""

    target: str
    """The branch that the work is in."""
    at: str
    """Where that is now."""
    commits: tuple[str, ...]
    """Those of the task."""
    missing: int
    """How many of them the target does not have."""
    landing: RefMove | None
    """The step that brought them into the target; None: not known."""
    by_queue: bool
    """The queue took that step, so that the target was exactly there before."""
    was_moved_back: bool
    """The queue has taken the step back."""
    reverted_by: str | None
    """The commit that reverts it."""
    later: int
    """How many commits the target got since."""
    holders: tuple[str, ...]
    """Other refs that have the step: of remotes, tags, other branches, other tasks."""
    is_kept: bool
    """The task's own branch has the commits."""
    ahead: str | None
    """The branch that the target follows, where that has commits which the target does not have."""


@dataclass(frozen=True, slots=True)
class Undoing:
    """What is to be done."""

    way: UndoWay
    at: str
    before: str
    """The target before the work."""
    after: str
    """The target with the work."""
    said: str


@dataclass(frozen=True, slots=True)
class Undone:
    """The target does not have the work any more."""

    said: str
    way: UndoWay | None = None
    """None: another process did it."""
    reverted_by: str | None = None


@dataclass(frozen=True, slots=True)
class CannotUndo:
    """It is left as it is."""

    why: str


def undoing_of(work: LandedWork) -> Undoing | Undone | CannotUndo:
    """The target only moves back where it was the queue that moved it, nothing came after that, no other ref has

    the work, and the task's branch keeps it. Everything else is reverted.
    """
    target = work.target
    if work.reverted_by is not None:
        said = f"{work.reverted_by[:12]} reverts it in {target}"
        return Undone(said, UndoWay.REVERT, work.reverted_by)
    if work.missing and work.was_moved_back:
        return Undone(f"{target} was moved back to before it", UndoWay.MOVE_BACK)
    if work.missing:
        return CannotUndo(
            f"{work.missing} of its {_commits(len(work.commits))} {'is' if work.missing == 1 else 'are'} not in"
            f" {target}: it never landed, or another process has rewritten {target} since"
        )
    if work.landing is None:
        return CannotUndo(
            f"what {target} was before it is not known any more, because its branch holds merges:"
            " revert its commits one by one, the last one first"
        )
    if work.ahead is not None:
        return CannotUndo(
            f"{work.ahead} has commits that {target} does not have: bring {target} up to date first"
        )
    why = _why_not_back(work)
    way = UndoWay.MOVE_BACK if why is None else UndoWay.REVERT
    said = (
        f"{target} goes back from {work.at[:12]} to {work.landing.old[:12]}: nothing came after it,"
        " and nothing else has it"
        if why is None
        else f"one more commit on {target} reverts its {_commits(len(work.commits))}: {why}"
    )
    return Undoing(way, work.at, work.landing.old, work.landing.new, said)


def _why_not_back(work: LandedWork) -> str | None:
    """Why the target is not moved back; None where that is safe."""
    if work.later:
        return f"{_commits(work.later)} came after it"
    if work.holders:
        more = f" and {len(work.holders) - _FEW} more" if len(work.holders) > _FEW else ""
        return f"{', '.join(work.holders[:_FEW])}{more} {'has' if len(work.holders) == 1 else 'have'} it, too"
    if not work.by_queue:
        return "it was not the queue that moved the branch"
    return None if work.is_kept else "no branch of the task keeps it"


def _commits(number: int) -> str:
    return f"{number:,} commit{'' if number == 1 else 's'}"
