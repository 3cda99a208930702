"""What set-up commands made, kept for later checkouts: a folder for each, and a record beside it.

Only the queue writes here, from a commit of the owner's branch and before anything else ran there. It is always copied,
never used in place; who changes it breaks its seal, and it is made anew. So does a power cut before the files were on
disk: file systems give a file its size once its content is there.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

from task_queue.platform import durable, temporary
from task_queue.platform.records import UnreadableRecordError, decode, encode
from task_queue.platform.tree_copy import CannotBeCopiedError, Copying, copy_below, rename_within, seal_of

_SUFFIX = ".json"
_LIMIT = 2**24
_UNFINISHED = ".new-"
_GONE = ".gone-"
_A_MOMENT_S = 3600.0
MOST_KEPT = 4
"""For each source."""
LONGEST_KEPT = timedelta(days=7)
"""Since it was made: a requirement without a version means another one by then."""


@dataclass(frozen=True, slots=True)
class KeptSetUp:
    """What the set-up commands made of one set of files."""

    key: str
    """Names all that decides what they make."""
    place: Path
    """The checkout that it was made in, whose path is in it."""
    repository: Path
    commit: str
    commands: tuple[str, ...]
    made_at: datetime
    paths: tuple[str, ...]
    """Files and folders, from the root of the checkout."""
    seal: str
    count: int
    size_bytes: int
    texts: tuple[str, ...] = ()
    """Files that name *place*, and can be made to name another one."""
    links: tuple[str, ...] = ()
    stays: str = ""
    """Why it cannot be moved to another place; empty: it can."""
    refused: str = ""
    """Why nothing of it is kept: known, so that it is not tried for each checkout; empty: it is kept."""
    outside: tuple[tuple[str, int, int], ...] = ()
    """What it leads to outside of the checkout, such as an interpreter: path, size, time of change in ns."""


class UnusableError(Exception):
    """It cannot be used, and the text says why: the commands have to run."""


class KeptSetUps:
    """Those of one source, in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str, place: Path | None = None) -> KeptSetUp | None:
        """One that was made in *place*; None: wherever it was made, rather one that can be moved."""
        found = [
            kept
            for kept in self.all()
            if kept.key == key
            and place in (None, kept.place)
            and datetime.now(UTC) - kept.made_at < LONGEST_KEPT
        ]
        return next((kept for kept in found if not kept.stays), found[0] if found else None)

    def all(self) -> Iterator[KeptSetUp]:
        """The newest first."""
        found = [kept for path in self._folder.glob(f"*{_SUFFIX}") if (kept := _read(path)) is not None]
        yield from sorted(found, key=lambda kept: kept.made_at, reverse=True)

    def keep(self, kept: KeptSetUp, *, most_bytes: int | None) -> KeptSetUp:
        """Copy what ``kept.paths`` name in ``kept.place``; the record of it, which may be that it is refused.

        Raises OSError.
        """
        name = _name_of(kept)
        new = self._folder / f"{_UNFINISHED}{os.getpid()}-{name}"
        copying = Copying(naming=kept.place, most_bytes=most_bytes)
        try:
            durable.make_directory(self._folder)
            new.mkdir(mode=0o700)
            copy_below(kept.place, new, kept.paths, copying)
            moved = [path for path in copying.binaries if not path.endswith(".pyc")]
            kept = replace(
                kept,
                seal=seal_of(new),
                count=copying.count,
                size_bytes=copying.size_bytes,
                texts=tuple(copying.texts),
                links=tuple(copying.links),
                stays=f"{moved[0]} holds the path of its checkout" if moved else "",
                outside=_outside(copying.outward),
            )
            self.remove(kept)
            new.rename(self._folder / name)
            durable.replace(self._record(kept), encode(kept))
        except CannotBeCopiedError as error:
            temporary.remove_tree(new)
            return self.refuse(kept, str(error))
        except OSError:
            with contextlib.suppress(OSError):
                temporary.remove_tree(new)
            raise
        return kept

    def refuse(self, kept: KeptSetUp, why: str) -> KeptSetUp:
        """Remember that nothing is kept, and *why*. Raises OSError."""
        durable.make_directory(self._folder)
        self.remove(kept)
        kept = replace(kept, refused=why, paths=(), texts=(), links=())
        durable.replace(self._record(kept), encode(kept))
        return kept

    def give(self, kept: KeptSetUp, root: Path) -> None:
        """Copy it into the checkout *root*, in which nothing is in its place.

        Raises UnusableError: then nothing of it is there. One that was changed since, or needs what is gone, goes.
        """
        if kept.refused:
            raise UnusableError(kept.refused)
        files = self.files_of(kept)
        taken = [path for path in kept.paths if os.path.lexists(root / path)]
        if taken:
            raise UnusableError(f"{taken[0]} is in its place")
        try:
            self._demand_untouched(kept, files)
            copy_below(files, root, kept.paths, Copying())
            self._demand_untouched(kept, files)  # also while it was copied
            if root != kept.place:
                rename_within(root, kept.texts, kept.links, was=kept.place, now=root)
            os.utime(self._record(kept))
        except (OSError, CannotBeCopiedError) as error:
            self._take_back(kept, root)
            raise UnusableError(str(error)) from error
        except UnusableError:
            self._take_back(kept, root)
            raise

    def files_of(self, kept: KeptSetUp) -> Path:
        return self._folder / _name_of(kept)

    def used_at(self, kept: KeptSetUp) -> datetime:
        """When it was last used, or made."""
        with contextlib.suppress(OSError):
            return datetime.fromtimestamp(self._record(kept).stat().st_mtime, UTC)
        return kept.made_at

    def remove(self, kept: KeptSetUp) -> None:
        """It may be being copied meanwhile: that copy is then not used. Raises OSError."""
        durable.remove(self._record(kept))
        files = self.files_of(kept)
        gone = self._folder / f"{_GONE}{os.getpid()}-{files.name}"
        with contextlib.suppress(FileNotFoundError):
            files.rename(gone)
            temporary.remove_tree(gone)

    def prune(self, *, period: timedelta | None, size_bytes: int | None, now: datetime) -> list[KeptSetUp]:
        """Remove what is too old or too much, and what the killed left; what went. Raises OSError."""
        self._remove_unfinished()
        newest = sorted(self.all(), key=self.used_at, reverse=True)
        sizes = accumulate(kept.size_bytes for kept in newest)
        overdue = [
            kept
            for number, (kept, size) in enumerate(zip(newest, sizes, strict=True))
            if number >= MOST_KEPT
            or now - kept.made_at >= LONGEST_KEPT
            or (period is not None and now - self.used_at(kept) >= period)
            or (size_bytes is not None and size > size_bytes)
        ]
        for kept in overdue:
            self.remove(kept)
        return overdue

    def _remove_unfinished(self) -> None:
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            _, _, owner = path.name.partition("-")
            if path.name.startswith((_UNFINISHED, _GONE)):
                pid = owner.partition("-")[0]
                if pid.isdigit() and not Path("/proc", pid).exists():
                    temporary.remove_tree(path)
            elif path.is_dir() and _is_without_record(path):
                temporary.remove_tree(path)

    def _demand_untouched(self, kept: KeptSetUp, files: Path) -> None:
        if seal_of(files) != kept.seal:
            self.remove(kept)
            raise UnusableError("what was kept was changed by another program since")
        if kept.outside != _outside([path for path, _, _ in kept.outside]):
            self.remove(kept)
            raise UnusableError("a program outside of the checkout that it needs is another one by now")

    def _take_back(self, kept: KeptSetUp, root: Path) -> None:
        for path in kept.paths:
            with contextlib.suppress(OSError):
                temporary.remove_tree(root / path)

    def _record(self, kept: KeptSetUp) -> Path:
        return self._folder / f"{_name_of(kept)}{_SUFFIX}"


def _is_without_record(path: Path) -> bool:
    """For longer than the moment between the two."""
    is_old = time.time() - path.stat().st_mtime > _A_MOMENT_S
    return is_old and not path.with_name(f"{path.name}{_SUFFIX}").exists()


def _name_of(kept: KeptSetUp) -> str:
    return f"{kept.key[:16]}-{kept.place.name}"


def _read(path: Path) -> KeptSetUp | None:
    try:
        return decode(KeptSetUp, durable.read_regular(path, limit=_LIMIT)[0])
    except (OSError, UnreadableRecordError):
        return None  # it is made anew


def _outside(paths: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    found: list[tuple[str, int, int]] = []
    for path in dict.fromkeys(paths):
        try:
            about = Path(os.path.realpath(path)).stat()
        except OSError:
            found.append((path, -1, 0))
        else:
            found.append((path, about.st_size, about.st_mtime_ns))
    return tuple(found)
