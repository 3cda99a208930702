"""What the queue remembers of a checkout, beside it: the agent works below, and its git does not get there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.platform import durable, temporary
from task_queue.platform.records import UnreadableRecordError, decode, encode

_SUFFIX = ".checkout.json"
_LIMIT = 2**16


@dataclass(frozen=True, slots=True)
class CheckoutRecord:
    """One checkout."""

    repository: Path
    """Root of the working tree whose repository it was made from."""
    task_id: str = ""
    """Empty: a throw-away one, in which no attempt works."""
    identity: str = ""
    """What the file ``task-queue-checkout`` in its repository says, so that it is found under another name."""
    settings: tuple[str, ...] = ()
    """What its file system needs in a configuration, as ``name=value``."""

    confined: bool = False
    """Its agent was sandboxed, and so is what git starts there."""
    included: tuple[str, ...] | None = None
    """Ignored files that came from the owner's checkout (``worktree_include``); None before they were copied."""

    @property
    def is_scratch(self) -> bool:
        return not self.task_id


def record_of(directory: Path) -> CheckoutRecord | None:
    """What is remembered of the checkout in *directory*. Raises GitError where that cannot be read."""
    path = path_of(directory)
    try:
        return decode(CheckoutRecord, durable.read_regular(path, limit=_LIMIT)[0])
    except FileNotFoundError:
        return None
    except (OSError, UnreadableRecordError) as error:
        raise GitError(
            f"{path} cannot be read: {error}", hint="look at the checkout, then remove it"
        ) from error


def remember(directory: Path, record: CheckoutRecord) -> None:
    """Raises GitError."""
    path = path_of(directory)
    try:
        durable.make_directory(path.parent)
        durable.replace(path, encode(record))
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make room, or the folder writable") from error


def forget(directory: Path) -> None:
    with suppress(OSError):  # a record without a checkout says nothing
        durable.remove(path_of(directory))


def checkouts_in(folder: Path) -> Iterator[Path]:
    """Directories that there are records of, by name; each may be gone."""
    for path in sorted(folder.glob(f".*{_SUFFIX}")):
        yield folder / path.name.removeprefix(".").removesuffix(_SUFFIX)


def path_of(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}{_SUFFIX}")


def remove_tree(directory: Path) -> None:
    """Remove what the queue made, with all that is in it, also below folders that may not be written.

    Raises GitError.
    """
    try:
        temporary.remove_tree(directory)
    except OSError as error:
        raise GitError(f"{directory} cannot be removed: {error}", hint="remove it yourself") from error
