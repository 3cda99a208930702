"""Takes back what a task has landed: its branch moves back where that is safe, else a commit reverts it.

As with a landing, all is decided and proven before anything moves, and again where the target moves meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.work.commits import Signature
from task_queue.domain.work.undoing import CannotUndo, Undoing, Undone, UndoWay, undoing_of
from task_queue.git.advance import (
    Advance,
    StepRefused,
    TurnNotTaken,
    advance,
    finish_interrupted,
    turn,
)
from task_queue.git.landed_work import WorkToUndo, landed_work
from task_queue.git.landing import Blocked, Prove, Unproven, in_the_way
from task_queue.git.merging import Refused, revert_commit, reverting_tree
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, tree_of
from task_queue.git.worktree import checkout_of
from task_queue.platform.identity import own_identity

_TRIES = 10


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What is to be taken back."""

    work: WorkToUndo
    message: Callable[[Undoing], str]
    """Of the commit that reverts it, if there has to be one."""
    beside: Path
    """Where a throw-away checkout may be."""
    marker: str
    """Of the task's last attempt."""
    prove: Prove = lambda _: None
    give_up: Callable[[], bool] = lambda: False
    """Asked while it waits for its turn."""

    @property
    def named(self) -> str:
        return self.work.branch or self.work.task_id


UndoOutcome = Undone | CannotUndo | Unproven


def foreseen(git: Git, work: WorkToUndo) -> Undoing | Undone | CannotUndo:
    """What ``undo`` would do now, but for its checks. Moves nothing; raises GitError."""
    decided = _decided(git, work)
    return decided if not isinstance(decided, _WayIsFree) else decided.undoing


def undo(
    git: Git,
    request: UndoPlan,
    *,
    add_note: Callable[[str], None],
    signature: Signature | None = None,
    within_s: float,
    wait_s: float,
) -> UndoOutcome:
    """Idempotent: what is undone, by this call or before, is ``Undone``. Raises GitError.

    *within_s* is for the hooks of one try, *wait_s* is how long it waits until no other task lands in the target.
    """
    signed = replace(git, extra={**git.extra, **(signature or Signature()).variables})
    try:
        with turn(signed, into=request.work.target, wait_s=wait_s, give_up=request.give_up):
            for _ in range(_TRIES):
                outcome = _undo_once(signed, request, add_note=add_note, within_s=within_s)
                if outcome is not None:
                    return outcome
    except TurnNotTaken as error:
        return CannotUndo(str(error))
    return CannotUndo(f"{request.work.target} kept moving")


@dataclass(frozen=True, slots=True)
class _WayIsFree:
    """Nothing is in the way."""

    undoing: Undoing
    files: str
    """The tree, or the commit, that the target will have."""
    place: Path | None
    """The checkout that has the target."""


def _decided(git: Git, work: WorkToUndo) -> _WayIsFree | Undone | CannotUndo:
    undoing = undoing_of(landed_work(git, work))
    if not isinstance(undoing, Undoing):
        return undoing
    files: str = undoing.before
    if undoing.way is UndoWay.REVERT:
        found = reverting_tree(git, undoing.at, before=undoing.before, after=undoing.after)
        if isinstance(found, Refused):
            return CannotUndo(found.why)
        if not isinstance(found, str):
            return CannotUndo(
                f"what came after it changed the same: it conflicts in {', '.join(found.paths)}"
            )
        if found == tree_of(git, undoing.at):
            return Undone(f"nothing of what it changed is in {work.target} any more")
        files = found
    place = checkout_of(git, work.target)
    blocked = in_the_way(git, place, work.target, old=undoing.at, new=files)
    return CannotUndo(blocked.why) if blocked else _WayIsFree(undoing, files, place)


def _undo_once(
    git: Git, request: UndoPlan, *, add_note: Callable[[str], None], within_s: float
) -> UndoOutcome | None:
    """None: the target moved before we could, so everything has to be decided again."""
    with turn(git, wait_s=within_s):
        cut_off = finish_interrupted(git, marker=request.marker)
    if cut_off is not None:
        add_note(cut_off)
    ready = _decided(git, request.work)
    if not isinstance(ready, _WayIsFree):
        return ready
    undoing, new = ready.undoing, ready.files
    if undoing.way is UndoWay.REVERT:
        made = revert_commit(
            git,
            old=undoing.at,
            tree=ready.files,
            branch=request.named,
            message=request.message(undoing),
            beside=request.beside,
            ends_at=time.monotonic() + within_s,
        )
        if isinstance(made, Refused):
            return CannotUndo(made.why)
        new = made
    wrong = request.prove(new)
    if wrong is not None:
        return CannotUndo(wrong.why) if isinstance(wrong, Blocked) else Unproven(new, undoing.at, wrong)
    with turn(git, wait_s=within_s):
        return _moved(git, request, ready, new, add_note=add_note, within_s=within_s)


def _moved(
    git: Git,
    request: UndoPlan,
    ready: _WayIsFree,
    new: str,
    *,
    add_note: Callable[[str], None],
    within_s: float,
) -> UndoOutcome | None:
    """In our turn: move the target, if everything is still as it was decided on. None: it is not."""
    work, undoing = request.work, ready.undoing
    again = _decided(git, work)
    if again != ready:
        return again if isinstance(again, CannotUndo) else None
    planned = Advance(
        request.named,
        work.target,
        undoing.at,
        new,
        ready.place is not None,
        request.marker,
        own_identity(),
        action="undo",
        back=undoing.way is UndoWay.MOVE_BACK,
    )
    done = advance(git, planned, within_s=within_s)
    if isinstance(done, StepRefused):
        moved = commit_of(git, f"refs/heads/{work.target}") != undoing.at
        return None if moved else CannotUndo(done.why)
    if done.note is not None:
        add_note(done.note)
    if undoing.way is UndoWay.MOVE_BACK:
        return Undone(f"{work.target} was moved back to {new[:12]}", undoing.way)
    return Undone(f"{new[:12]} reverts it in {work.target}", undoing.way, new)
