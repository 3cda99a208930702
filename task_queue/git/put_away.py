"""Where the work of a removed checkout is, so that its task can go on: its branch, and what was uncommitted.

A note beside the place of the checkout. It is there from before the removal until the checkout is made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import ref_of, snapshot_now
from task_queue.git.collect import hand_over
from task_queue.git.leftovers import LeftState, left_state
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, facts, head_of, tree_of
from task_queue.platform import durable
from task_queue.platform.records import UnreadableRecordError, decode, encode

_SUFFIX = ".removed.json"
_LIMIT = 2**16


@dataclass(frozen=True, slots=True)
class PutAway:
    """A checkout that was removed while its work is kept."""

    repository: Path
    """Root of the working tree whose repository it was made from."""
    branch: str
    leftovers: str | None = None
    """The commit that holds what was uncommitted; None: everything was committed."""
    begun_again: bool = False
    """It is being made again; else it may still be there, where the removal was cut off or refused."""


def put_away_from(directory: Path) -> PutAway | None:
    """Where the work of the checkout that was in *directory* is; None if none was removed. Raises GitError."""
    path = _path_of(directory)
    try:
        return decode(PutAway, durable.read_regular(path, limit=_LIMIT)[0])
    except FileNotFoundError:
        return None
    except (OSError, UnreadableRecordError) as error:
        raise GitError(f"{path} cannot be read: {error}", hint="move it away, then retry the task") from error


def put_away_in(folder: Path) -> Iterator[Path]:
    """The places of the checkouts directly in *folder* that were removed while their work is kept."""
    for path in sorted(folder.glob(f".*{_SUFFIX}")):
        yield folder / path.name.removeprefix(".").removesuffix(_SUFFIX)


def note_put_away(directory: Path, record: PutAway) -> None:
    """Raises GitError."""
    path = _path_of(directory)
    try:
        durable.replace(path, encode(record))
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make room, or the folder writable") from error


def begin_again(directory: Path) -> PutAway | None:
    """Note that the checkout, which is not there, is made again; where its work is. Idempotent; raises GitError."""
    away = put_away_from(directory)
    if away is None:
        return None
    again = replace(away, begun_again=True)
    note_put_away(directory, again)
    return again


def forget_put_away(directory: Path) -> None:
    with suppress(OSError):  # a note without a branch says nothing
        durable.remove(_path_of(directory))


def kept_leftovers(there: Git, task_id: TaskId) -> str | None:
    """The commit that has the uncommitted files and the index of the checkout exactly as they are; None if none has.

    Raises GitError.
    """
    left = commit_of(there, ref_of(task_id, "leftovers"))
    state = None if left is None else left_state(there, left)
    repository = facts(there)
    if left is None or state is None or repository is None:
        return None
    now = snapshot_now(there, repository)
    is_same = (tree_of(there, left), state) == (now.tree, LeftState(head_of(there), now.staged))
    return left if is_same and not now.left_out else None


def bring_back(there: Git, record: PutAway) -> bool:
    """Write what was uncommitted into the checkout that was made again, and into its index; whether it could.

    *there* is the checkout as the queue sees it, in its root. Idempotent, as long as no agent works there.
    Raises GitError.
    """
    if record.leftovers is None:
        return True
    state = left_state(there, record.leftovers) if commit_of(there, record.leftovers) else None
    if state is None or state.head != head_of(there):
        return False
    there.change("read-tree", "--reset", "-u", record.leftovers)
    there.change("read-tree", "--reset", state.staged)
    there.attempt("update-index", "-q", "--refresh")
    hand_over(there, record.branch)
    return True


def _path_of(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}{_SUFFIX}")
