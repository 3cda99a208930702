"""The owner's repository and main checkout as they are now, and what changed there since an agent began.

A task's record of it is in the repository itself, and survives the runner: after a crash the next attempt compares
with what was there before the first one. Takes three calls of git, one more for a stash, one for each ref that moved.
"""

from __future__ import annotations

import shlex
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.domain.work.repository_changes import (
    RepositoryChange,
    RepositoryState,
    changes_of,
    is_of_the_queue,
    moved_refs,
)
from task_queue.git.landings import landings_in
from task_queue.git.program import Git
from task_queue.git.repository import dirty_in, is_ancestor
from task_queue.platform import durable
from task_queue.platform.records import UnreadableRecordError, decode, encode

_FOLDER = "task-queue-before"
_LIMIT = 2**26
_HOOK_LIMIT = 2**20
_OF_THE_CLI = frozenset({b"**/.claude/.cc-writes/", b"**/.claude/settings.local.json"})
"""Seen in ``~/.config/git/ignore`` with the CLI 2.1.332."""
_STASH = "refs/stash"


@dataclass(frozen=True, slots=True)
class OwnerRecord:
    """What is kept of one task."""

    before: RepositoryState | None = None
    """None: no attempt is at work."""
    found: tuple[RepositoryChange, ...] = ()
    """By attempts that have ended."""


@dataclass(frozen=True, slots=True)
class OwnerPlace:
    """Where to look."""

    git: Git
    """In the root of the main checkout, with its own HEAD and index."""
    common_dir: Path
    hooks: Path
    leave_out: tuple[Path, ...] = ()
    """The queue's folders, in which documents move."""
    work_in_place: bool = False

    @property
    def root(self) -> Path:
        return self.git.directory


def state_of(place: OwnerPlace) -> RepositoryState:
    """Raises GitError."""
    git = place.git
    listed = git.read("for-each-ref", "--format=%(objectname) %(refname)").text.splitlines()
    refs = {_visible(ref): name for name, _, ref in (line.partition(" ") for line in listed)}
    status = git.read(
        *("status", "--porcelain=v2", "--branch", "-z", "--no-renames"),
        *("--untracked-files=normal", "--ignore-submodules=dirty"),
    ).fields
    parted = (line[2:].partition(" ") for line in status if line.startswith("# "))
    about = {name: value for name, _, value in parted}
    head = about.get("branch.head", "")
    stash = git.read("stash", "list", "--format=%H").text.split() if _STASH in refs else ()
    return RepositoryState(
        refs={ref: name for ref, name in refs.items() if ref != _STASH and not is_of_the_queue(ref)},
        head=about.get("branch.oid", "") if head == "(detached)" else _visible(head),
        settings=_settings(git),
        stash=tuple(stash),
        hooks=dict(_hooks(place)),
        uncommitted={
            _visible(dirty.path): f"{dirty.change} {dirty.staged} {dirty.unstaged}"
            for dirty in dirty_in(status)
            if not _is_below(place.root / dirty.path, place.leave_out)
        },
        exclusions=dict(_exclusions(place)),
    )


def changes_since(place: OwnerPlace, before: RepositoryState) -> tuple[RepositoryChange, ...]:
    """What differs from *before*. A repository that cannot be read is a change, no error."""
    try:
        after = state_of(place)
        moves = moved_refs(before, after, landings_in(place.common_dir))
        back = {move.ref for move in moves if not is_ancestor(place.git, move.old, of=move.new)}
    except GitError as error:
        show = f"git -C {shlex.quote(str(place.root))} status"
        return (RepositoryChange(f"the repository cannot be read: {error}", show),)
    return changes_of(
        before,
        after,
        moves=moves,
        back=back,
        root=str(place.root),
        hooks=str(place.hooks),
        work_in_place=place.work_in_place,
    )


def owner_record(place: OwnerPlace, key: str) -> OwnerRecord:
    """What is kept of the task *key*; nothing where it cannot be read."""
    with suppress(OSError, UnreadableRecordError):
        return decode(OwnerRecord, durable.read_regular(_path(place, key), limit=_LIMIT)[0])
    return OwnerRecord()


def keep_owner_record(place: OwnerPlace, key: str, record: OwnerRecord) -> None:
    """Nothing to keep removes it. Raises GitError."""
    path = _path(place, key)
    try:
        if record == OwnerRecord():
            path.unlink(missing_ok=True)
            return
        durable.make_directory(path.parent)
        durable.replace(path, encode(record))
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make room, or the repository writable") from error


def _settings(git: Git) -> dict[str, str]:
    fields = iter(git.read("config", "--list", "--includes", "-z", "--show-scope").fields)
    found: dict[str, str] = {}
    for scope, entry in zip(fields, fields, strict=True):
        key, _, value = entry.partition("\n")
        if scope != "command":
            name = _visible(key if scope == "local" else f"{key} ({scope})")
            found[name] = _hash(found.get(name, "").encode() + value.encode(errors="surrogateescape"))
    return found


def _hooks(place: OwnerPlace) -> Iterator[tuple[str, str]]:
    """Not those that are tracked: they come with commits, and an uncommitted change is among the files."""
    if not place.hooks.is_dir():
        return
    tracked: set[str] = set()
    if place.hooks.is_relative_to(place.root) and not place.hooks.is_relative_to(place.common_dir):
        tracked = {
            Path(path).name for path in place.git.read("ls-files", "-z", "--", str(place.hooks)).fields
        }
    try:
        for path in sorted(place.hooks.iterdir()):
            mode = path.stat().st_mode if path.exists() else 0
            if path.suffix != ".sample" and path.name not in tracked and stat.S_ISREG(mode):
                with path.open("rb") as file:
                    yield _visible(path.name), f"{mode:o} {_hash(file.read(_HOOK_LIMIT))}"
    except OSError as error:
        raise GitError(f"{place.hooks}: {error.strerror}", hint="make it readable") from error


def _exclusions(place: OwnerPlace) -> Iterator[tuple[str, str]]:
    """But for ``.gitignore``, which is among the files.

    By their rules, without those that the CLI itself adds where it works in a repository.
    """
    environment = place.git.environment
    named = place.git.ask("config", "--path", "--get", "core.excludesFile").text
    usual = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "/"), ".config"))
    for path in (place.common_dir / "info/exclude", place.root / (named or usual / "git/ignore")):
        with suppress(OSError):
            lines = durable.read_regular(path, limit=_LIMIT)[0].splitlines()
            if rules := [line for line in lines if _is_rule(line)]:
                yield _visible(str(path)), _hash(b"\n".join(rules))


def _is_rule(line: bytes) -> bool:
    return bool(line.strip()) and not line.startswith(b"#") and line not in _OF_THE_CLI


def _path(place: OwnerPlace, key: str) -> Path:
    return place.common_dir / _FOLDER / f"{key}.json"


def _is_below(path: Path, folders: Collection[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()[:16]


def _visible(text: str) -> str:
    """As a record keeps it: bytes that are not UTF-8 would come back as other text."""
    return text.encode(errors="backslashreplace").decode()
