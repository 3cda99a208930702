"""Copies ignored files of the owner's checkout into a new one, as ``.worktreeinclude`` in its root asks for.

Patterns are those of gitignore(5). A file is copied only if git ignores it in the owner's checkout and tracks it
nowhere. No link is followed on either side, and nothing is overwritten.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.git.program import Git
from task_queue.platform import durable

NAME = ".worktreeinclude"
MOST_FILES = 1000
MOST_BYTES = 100 * 2**20
_LIMIT = 2**16
_CHUNK_BYTES = 2**20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Included:
    """What became of the files that match; paths are relative to the root."""

    there: tuple[str, ...] = ()
    """Copied now, or before the attempt was cut off."""
    left: tuple[str, ...] = ()
    """Each with the reason, for a person."""


def include_ignored(owner: Git, checkout: Path, *, there: Git | None, closed: Collection[Path]) -> Included:
    """Copy what matches into *checkout*. *owner* is in the root of the owner's working tree.

    *there* is git in the checkout, which has to ignore the files as well; None where nothing is committed from it.
    *closed* are files and folders of the queue's, and files with keys: agents may not read what is in them.
    Raises GitError.
    """
    try:
        wanted = wanted_files(owner)
    except OSError as error:
        return Included(left=(f"{NAME} ({error.strerror})",))
    not_there = set(wanted).difference(_ignored(there, wanted)) if there is not None else set[str]()
    copied: list[str] = []
    left: list[str] = []
    total = 0
    sealed = _Closed.of(closed)
    for path in wanted:
        if path in not_there:
            left.append(f"{path} (git does not ignore it where the task begins)")
        elif len(copied) >= MOST_FILES or total >= MOST_BYTES:
            left.append(f"{path} (beyond {MOST_FILES} files or {MOST_BYTES // 2**20} MiB)")
        else:
            try:
                total += _copied(owner.directory, checkout, path, sealed, most=MOST_BYTES - total)
                copied.append(path)
            except FileExistsError:
                copied.append(path)
            except OSError as error:
                left.append(f"{path} ({error.strerror})")
    return Included(tuple(copied), tuple(left))


def wanted_files(owner: Git) -> list[str]:
    """The ignored files of the owner's checkout that match. Raises OSError with the reason as text, GitError."""
    patterns = owner.directory / NAME
    if not os.path.lexists(patterns):
        return []
    if len(durable.read_regular(patterns, limit=_LIMIT)[0]) > _LIMIT:
        raise OSError(0, f"larger than {_LIMIT} bytes")
    listing = ("ls-files", "-z", "--full-name", "--others", "--ignored", f"--exclude-from={NAME}")
    return _ignored(owner, [path for path in owner.read(*listing).fields if not path.endswith("/")])


def _ignored(git: Git, paths: Iterable[str]) -> list[str]:
    given = b"".join(os.fsencode(path) + b"\0" for path in paths)
    if not given:
        return []
    answer = git.ask("check-ignore", "-z", "--stdin", stdin=given)
    if answer.code > 1:
        raise GitError(f"git check-ignore failed in {git.directory}: {answer.said.strip()}")
    return answer.fields


@dataclass(frozen=True, slots=True)
class _Closed:
    folders: tuple[str, ...]
    files: frozenset[tuple[int, int]]
    """Device and inode: a file may have a second name."""

    @classmethod
    def of(cls, closed: Iterable[Path]) -> _Closed:
        real = tuple(dict.fromkeys(os.path.realpath(path) for path in closed))
        files: set[tuple[int, int]] = set()
        for path in real:
            with contextlib.suppress(OSError):
                about = Path(path).stat()
                files.add((about.st_dev, about.st_ino))
        return cls(real, frozenset(files))

    def holds(self, path: Path, about: os.stat_result) -> bool:
        if (about.st_dev, about.st_ino) in self.files:
            return True
        return any(Path(os.path.realpath(path)).is_relative_to(folder) for folder in self.folders)


def _copied(source: Path, target: Path, path: str, closed: _Closed, *, most: int) -> int:
    """Copy one file; its size. Raises OSError, whose text is the reason."""
    *folders, name = path.split("/")
    with contextlib.ExitStack() as opened:
        fd = _opened(opened, name, _FILE, _walked(opened, source, folders, make=False))
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(0, "not a regular file")
        if closed.holds(source / path, about):
            raise OSError(0, "it is the queue's, or holds a key of its configuration")
        if about.st_size > most:
            raise OSError(0, f"beyond {MOST_BYTES // 2**20} MiB")
        parent = _walked(opened, target, folders, make=True)
        new = _opened(opened, name, _NEW, parent, mode=stat.S_IMODE(about.st_mode) & 0o777)
        try:
            _write_through(fd, new, most=most)
            os.utime(new, ns=(about.st_atime_ns, about.st_mtime_ns))
        except OSError:
            os.unlink(name, dir_fd=parent)
            raise
        return about.st_size


def _write_through(fd: int, new: int, *, most: int) -> None:
    left = most
    while data := os.read(fd, min(_CHUNK_BYTES, left + 1)):
        left -= len(data)
        if left < 0:
            raise OSError(0, "it grew while it was copied")
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(new, rest) :]


def _walked(opened: contextlib.ExitStack, root: Path, folders: Iterable[str], *, make: bool) -> int:
    """The folder below *root*, through no link on the way."""
    fd = _opened(opened, os.fspath(root), _FOLDER & ~os.O_NOFOLLOW, None)
    for folder in folders:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, dir_fd=fd)
        fd = _opened(opened, folder, _FOLDER, fd)
    return fd


def _opened(
    opened: contextlib.ExitStack, name: str, flags: int, dir_fd: int | None, mode: int = 0o600
) -> int:
    fd = os.open(name, flags, mode, dir_fd=dir_fd)
    opened.callback(os.close, fd)
    return fd
