"""Copies folders with all that is in them, and says whether they were changed since.

Everything is read and written anew: a hard link, or a part that is shared, would let who writes to the copy write to
the original. Times and modes come along, owners and attributes do not.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK_BYTES = 2**20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class CannotBeCopiedError(Exception):
    """What is there is not a file, folder or link, or is too much; the text says what."""


@dataclass(slots=True)
class Copying:
    """What is looked at while files are copied."""

    naming: Path | None = None
    """Which files name this folder is found out."""
    most_bytes: int | None = None
    count: int = 0
    size_bytes: int = 0
    """Of the content of all files."""
    texts: list[str] = field(default_factory=list[str])
    """Files that name the folder, and are text: by the path that they were copied to, from the target."""
    binaries: list[str] = field(default_factory=list[str])
    """The same of other files."""
    links: list[str] = field(default_factory=list[str])
    """Symbolic links whose target begins with the folder."""
    outward: list[str] = field(default_factory=list[str])
    """Symbolic links to other absolute paths, by target."""


def copy_below(source: Path, target: Path, paths: Iterable[str], copying: Copying) -> None:
    """Copy each of *paths*, files or folders in *source*, to the same place in *target*.

    Folders on the way are made where they are missing; what is there is never overwritten or gone through by a link.
    Raises OSError, CannotBeCopiedError; part of it may be there then.
    """
    for path in paths:
        parent = _parent_in(target, path)
        _copy(source / path, parent / path.rpartition("/")[2], path, copying)


def seal_of(folder: Path) -> str:
    """Changes with everything that is written, added, removed or renamed below *folder*, also with the times put back.

    It is not a hash of the content: it names inodes and the times at which the kernel saw them change. Raises OSError.
    """
    digest = hashlib.sha256()
    for path, about in _entries(folder, ""):
        times = "" if stat.S_ISDIR(about.st_mode) else f"{about.st_size} {about.st_mtime_ns}"
        line = f"{about.st_mode} {about.st_ino} {about.st_ctime_ns} {about.st_nlink} {times}"
        digest.update(os.fsencode(path) + b"\0" + line.encode() + b"\0")
    return digest.hexdigest()


def _entries(folder: Path, below: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}{entry.name}"
        yield path, entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path), f"{path}/")


def _parent_in(target: Path, path: str) -> Path:
    """The folder in *target* that *path* goes to. Raises CannotBeCopiedError where a link leads away."""
    place = target
    for name in path.split("/")[:-1]:
        place = place / name
        if not os.path.lexists(place):
            place.mkdir()
        elif place.is_symlink() or not place.is_dir():
            raise CannotBeCopiedError(f"{place} is not a folder")
    return place


def _copy(source: Path, target: Path, path: str, copying: Copying) -> None:
    about = source.lstat()
    if stat.S_ISLNK(about.st_mode):
        _copy_link(source, target, path, copying)
    elif stat.S_ISDIR(about.st_mode):
        target.mkdir(mode=0o700)
        with os.scandir(source) as found:
            names = sorted(entry.name for entry in found)
        for name in names:
            _copy(source / name, target / name, f"{path}/{name}", copying)
        target.chmod(stat.S_IMODE(about.st_mode))
        os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
    elif stat.S_ISREG(about.st_mode):
        _copy_file(source, target, path, copying)
    else:
        raise CannotBeCopiedError(f"{path} is not a file")


def _copy_link(source: Path, target: Path, path: str, copying: Copying) -> None:
    leads_to = str(source.readlink())
    target.symlink_to(leads_to)
    copying.count += 1
    if copying.naming is not None and Path(leads_to).is_absolute():
        inside = Path(leads_to).is_relative_to(copying.naming)
        (copying.links if inside else copying.outward).append(path if inside else leads_to)


def _copy_file(source: Path, target: Path, path: str, copying: Copying) -> None:
    given = os.open(source, _READ)
    try:
        about = os.fstat(given)
        new = os.open(target, _WRITE, 0o600)
        try:
            _copy_content(given, new, path, copying)
            os.fchmod(new, stat.S_IMODE(about.st_mode) & 0o777)
            os.utime(new, ns=(about.st_atime_ns, about.st_mtime_ns))
        finally:
            os.close(new)
    finally:
        os.close(given)
    copying.count += 1


def _copy_content(given: int, new: int, path: str, copying: Copying) -> None:
    wanted = None if copying.naming is None else os.fsencode(copying.naming)
    tail, names_it, is_binary = b"", False, False
    while data := os.read(given, _CHUNK_BYTES):
        copying.size_bytes += len(data)
        if copying.most_bytes is not None and copying.size_bytes > copying.most_bytes:
            raise CannotBeCopiedError(f"more than {copying.most_bytes // 2**20} MB")
        if wanted is not None:
            is_binary = is_binary or b"\0" in data
            names_it = names_it or wanted in tail + data
            tail = data[-len(wanted) :]
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(new, rest) :]
    if names_it:
        (copying.binaries if is_binary else copying.texts).append(path)


def rename_within(target: Path, texts: Sequence[str], links: Sequence[str], *, was: Path, now: Path) -> None:
    """Let *texts* and *links* in *target*, copies of what was made in *was*, name *now* instead.

    Raises OSError, CannotBeCopiedError.
    """
    old, new = os.fsencode(was), os.fsencode(now)
    for path in texts:
        file = target / path
        about = file.lstat()
        content = _with_short_first_line(file.read_bytes().replace(old, new), path)
        file.chmod(0o600)
        file.write_bytes(content)
        file.chmod(stat.S_IMODE(about.st_mode))
        # Python compares time and size of a source with what its cache says: both may be as before.
        for cached in file.parent.glob(f"__pycache__/{_plain(file.stem)}.*.pyc"):
            cached.unlink()
    for path in links:
        link = target / path
        leads_to = os.fsencode(link.readlink()).replace(old, new, 1)
        link.unlink()
        link.symlink_to(os.fsdecode(leads_to))


_LONGEST_FIRST_LINE = 127
"""Of a script: older kernels read no more of it (execve(2))."""


def _with_short_first_line(content: bytes, path: str) -> bytes:
    line, _, rest = content.partition(b"\n")
    if not line.startswith(b"#!") or len(line) <= _LONGEST_FIRST_LINE:
        return content
    program, _, arguments = line[2:].strip().partition(b" ")
    if not program.rpartition(b"/")[2].startswith(b"python") or arguments:
        raise CannotBeCopiedError(f"the first line of {path} would be too long")
    # As pip writes it: for the shell a command, for Python a text.
    return b"#!/bin/sh\n'''exec' \"" + program + b'" "$0" "$@"\n\' \'\'\'\n' + rest


def _plain(name: str) -> str:
    """As a pattern that matches *name* alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
