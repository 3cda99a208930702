"""The last step of a landing: the target, with the checkout that has it, goes from one commit to another.

That is a later one, but where a landing is taken back.

It is announced in the repository before it begins, and only who has the turn may take it. The process that gets the
turn next and finds an announcement knows that its author died in this step, or could not clean up after it,
and takes back what is half done (``taking_back``): it has happened then, or it has not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

from task_queue.domain.errors import GitError, GitTookTooLong
from task_queue.domain.work.repository_changes import RefMove
from task_queue.git.landings import announce_landing
from task_queue.git.program import Git, GitOutput, said_by
from task_queue.git.repository import commit_of, is_ancestor
from task_queue.git.rollback import holder_of_locks, remove_locks, roll_back, why_not_ready
from task_queue.git.worktree import checkout_of
from task_queue.platform import durable, identity
from task_queue.platform.identity import ProcessIdentity
from task_queue.platform.lockfile import FileLock
from task_queue.platform.records import UnreadableRecordError, decode, encode

_LOCK = "task-queue-landing"
_RECORD = "task-queue-advance.json"
_RECORD_LIMIT = 2**16
_LOOK_AGAIN_S = 0.1
_SHORT_WAIT_S = 10.0
"""For the last step of another attempt, which is short but for the hooks after it."""


@dataclass(frozen=True, slots=True)
class Advance:
    """One such step."""

    branch: str
    """The task's, which lands or is taken back."""
    target: str
    old: str
    new: str
    checked_out: bool
    """A working tree has the target, and follows."""
    marker: str
    """Of the attempt that takes the step."""
    runner: ProcessIdentity
    action: Literal["merge", "undo"] = "merge"
    back: bool = False
    """The new commit is an earlier one."""

    @property
    def named(self) -> str:
        return f"{'a landing' if self.action == 'merge' else 'the undoing'} of {self.branch}"


@dataclass(frozen=True, slots=True)
class StepDone:
    """The target is at the new commit."""

    note: str | None = None


@dataclass(frozen=True, slots=True)
class StepRefused:
    """The target is where it was, and so is its checkout."""

    why: str


class TurnNotTaken(GitError):  # noqa: N818 - it is what happened
    """Another task was landing for as long as this one could wait."""


@contextmanager
def turn(
    git: Git, *, wait_s: float, into: str | None = None, give_up: Callable[[], bool] = lambda: False
) -> Generator[None, None, None]:
    """The queue's landings wait for each other; the kernel ends the turn of a process that dies.

    With *into*, a branch: all that belongs to a landing there, checks included. Without: its last step, in the
    whole repository. Raises TurnNotTaken where the turn does not come within *wait_s*, or *give_up* says so.
    """
    path = _common_dir(git) / (_LOCK if into is None else f"{_LOCK}-{sha256(into.encode()).hexdigest()[:16]}")
    lock = FileLock(path, longest_pause_s=_LOOK_AGAIN_S)
    try:
        try:
            is_our_turn = lock.take(within_s=wait_s, give_up=give_up)
        except OSError as error:
            raise GitError(f"{path}: {error.strerror}", hint="make the repository writable") from error
        if not is_our_turn:
            raise TurnNotTaken(f"{git.directory}: another task has been landing for {wait_s:.0f} s")
        yield
    finally:
        lock.release()


def advance(git: Git, planned: Advance, *, within_s: float) -> StepDone | StepRefused:
    """Take the step, in our turn; forward it is a fast-forward, with the hooks that git runs after it.

    Raises GitError where it could be neither taken nor taken back; ``finish_interrupted`` tries again.
    """
    record = _common_dir(git) / _RECORD
    place = checkout_of(git, planned.target) if planned.checked_out else None
    in_the_way = why_not_ready(git.at(place), old=planned.old, new=planned.new) if place else None
    if in_the_way is not None:
        return StepRefused(in_the_way)
    _announce(record, planned)
    announce_landing(record.parent, RefMove(f"refs/heads/{planned.target}", planned.old, planned.new))
    cut_off = ""
    why: str | None = None
    try:
        answer = _in_checkout(git.at(place), planned, within_s) if place else _update_ref(git, planned)
    except GitTookTooLong as error:
        why = cut_off = f"{error}, and was ended"
    else:
        if answer.code != 0:
            why = f"git refused: {said_by(answer)}"
        if answer.code < 0:
            why = cut_off = f"git was ended by signal {-answer.code}"
    if cut_off:
        _remove_locks(git, place, planned, record)
    if why is not None:
        _roll_back(git, place, planned)
    durable.remove(record)
    if commit_of(git, f"refs/heads/{planned.target}") == planned.new:
        return StepDone(f"merged anyway: {cut_off}; look at the hook post-merge" if cut_off else None)
    return StepRefused(why or "git moved nothing, and did not say why")


def finish_interrupted(git: Git, *, marker: str) -> str | None:
    """Take back a step whose author died in it; what to report of that. To be called in our turn.

    *marker* is the asking attempt's own. Raises GitError where another process is still at work there.
    """
    record = _common_dir(git) / _RECORD
    planned = _announced(record)
    if planned is None:
        return None
    if identity.is_alive(planned.runner) and planned.runner != identity.own_identity():
        raise GitError(f"{git.directory}: {planned.named} was cut off, and its process cleans up")
    if planned.marker != marker:
        identity.end_tree(planned.marker, grace_s=0)  # what it left must not go on writing while we look
    place = checkout_of(git, planned.target) if planned.checked_out else None
    _remove_locks(git, place, planned, record)
    theirs = _roll_back(git, place, planned)
    durable.remove(record)
    if commit_of(git, f"refs/heads/{planned.target}") == planned.new:
        return None
    note = f"{planned.named} in {planned.target} was cut off, and taken back"
    if theirs:
        note += f"; these files have changed since and were left as they are: {', '.join(theirs)}"
    return note


def finish_interrupted_before(git: Git, *, marker: str) -> str | None:
    """The same for a caller about to work there; nothing without a repository, or while another process is landing."""
    with contextlib.suppress(GitError):
        if (_common_dir(git) / _RECORD).exists():
            with turn(git, wait_s=_SHORT_WAIT_S):
                return finish_interrupted(git, marker=marker)
    return None


def _remove_locks(git: Git, place: Path | None, planned: Advance, record: Path) -> None:
    holder = holder_of_locks(git, place, planned.target)
    if holder is not None:
        raise GitError(
            f"{place or git.directory}: {planned.named} was cut off, and git is at work there: {holder}",
            hint="the queue takes back what was cut off once that has ended",
        )
    remove_locks(git, place, planned.target, since_ns=record.stat().st_mtime_ns)


def _roll_back(git: Git, place: Path | None, planned: Advance) -> tuple[str, ...]:
    """Nothing where the step was done. Where a commit of the owner came in the middle of it, to the files of that."""
    now = commit_of(git, f"refs/heads/{planned.target}")
    if place is None or now is None or (now != planned.old and not _came_in_the_middle(git, planned, now)):
        return ()
    return roll_back(git.at(place), old=now, new=planned.new)


def _came_in_the_middle(git: Git, planned: Advance, now: str) -> bool:
    """After git had put the files there, and before it moved the branch: else *now* is built on the new commit."""
    if planned.back:
        return is_ancestor(git, planned.old, of=now)
    return not is_ancestor(git, planned.new, of=now)


def _in_checkout(git: Git, planned: Advance, within_s: float) -> GitOutput:
    reason = f"{planned.action} {planned.branch}"
    named = replace(git, extra={**git.extra, "GIT_REFLOG_ACTION": reason}).within(within_s)
    # Not over an ignored file either: git would replace it without a word, and it is the user's.
    switches = ("--ff-only", "--no-autostash", "--no-overwrite-ignore")
    if not planned.back:
        return named.attempt("merge", *switches, planned.new)
    answer = named.attempt("reset", "--keep", "--quiet", planned.new)
    was_at = commit_of(git, "ORIG_HEAD")
    if answer.code == 0 and was_at is not None and was_at != planned.old:
        # A commit came between our look and git's: it is the owner's, and has the whole work below it.
        return replace(named.attempt("merge", *switches, was_at), code=1, said=f"{planned.target} moved")
    return answer


def _update_ref(git: Git, planned: Advance) -> GitOutput:
    reason = f"{planned.action} {planned.branch}"
    return git.attempt("update-ref", "-m", reason, f"refs/heads/{planned.target}", planned.new, planned.old)


def _announce(record: Path, planned: Advance) -> None:
    try:
        durable.replace(record, encode(planned))
    except OSError as error:
        raise GitError(f"{record}: {error.strerror}", hint="make room, or the repository writable") from error


def _announced(record: Path) -> Advance | None:
    try:
        data, _ = durable.read_regular(record, limit=_RECORD_LIMIT)
        return decode(Advance, data)
    except FileNotFoundError:
        return None
    except (OSError, UnreadableRecordError) as error:
        raise GitError(
            f"{record} cannot be read: {error}", hint="look at git status, then remove it"
        ) from error


def _common_dir(git: Git) -> Path:
    return Path(git.read("rev-parse", "--path-format=absolute", "--git-common-dir").text)
