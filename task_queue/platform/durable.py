"""Files that are whole or not there, and stay: the only functions that change a source's folders.

Each returns once the change would survive a power cut: data is synced before a name shows it, and the
directory is synced after. A failed fsync is final (the kernel may have dropped the pages), so it is
raised and never retried on the same descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from pathlib import Path
from typing import BinaryIO

from task_queue.platform.identity import identity_of

TEMPORARY_PREFIX = ".tq-"
_serial = itertools.count()
_RENAME_NOREPLACE = 1
_AT_FDCWD = -100


def publish(path: Path, data: bytes) -> None:
    """Create *path* with *data*; raises FileExistsError if the name is taken: the race is lost."""
    temporary = _write_temporary(path.parent, data)
    try:
        os.link(temporary, path, follow_symlinks=False)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def replace(path: Path, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Put *data* in place of what *path* holds; readers see the old or the new, never a mixture.

    A link is replaced, never followed: it may lead to a file that its maker could not write. Without *sync* a power cut
    may leave the old content, the new, or an empty file.
    """
    temporary = _write_temporary(path.parent, data, mode=mode, sync=sync)
    try:
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_directory(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename without ever overwriting; raises FileExistsError, or FileNotFoundError if *source* is gone.

    A folder that may not be written gets its owner's rights: it cannot get another parent without them.
    """
    mode = source.lstat().st_mode
    if stat.S_ISDIR(mode) and not mode & stat.S_IWUSR:
        source.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
    _rename_no_replace(source, target)
    sync_directory(target.parent)
    if source.parent != target.parent:
        sync_directory(source.parent)


def move_aside(source: Path, target: Path) -> Path:
    """Rename to *target*, or to a name like it where that one is taken; the name it got."""
    try:
        move(source, target)
    except FileExistsError:
        target = target.with_stem(f"{target.stem}-{os.urandom(4).hex()}")
        move(source, target)
    return target


def append(path: Path, line: bytes, *, sync: bool = True) -> None:
    """Add one line in one write and, with *sync*, make it durable; a short write is undone and raised.

    What a power cut tore before gets its newline first: this line must not become a part of it. For one writer at
    a time. Never follows a link, and never blocks on a FIFO.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    fd = os.open(path, flags, 0o600)
    try:
        about = os.fstat(fd)
        _demand_regular(about, path)
        size = about.st_size
        data = b"\n" + line if size and os.pread(fd, 1, size - 1) != b"\n" else line
        written = os.write(fd, data)
        if written < len(data):
            os.ftruncate(fd, size)
            raise OSError(errno.ENOSPC, "only a part of the line could be written", str(path))
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def remove(path: Path) -> None:
    """Unlink *path* if it is there."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def make_directory(path: Path) -> None:
    """Create *path* and its missing parents, for us alone (0700 whatever the umask)."""
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    path.chmod(0o700)
    sync_directory(path.parent)


NO_REGULAR_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENOTSUP})
"""What ``read_regular`` says where there is nothing, or something else."""


def read_regular(path: Path, *, limit: int) -> tuple[bytes, os.stat_result]:
    """At most ``limit + 1`` bytes of a regular file, and its stat; never follows a link, never blocks on a FIFO.

    Raises OSError; ENOTSUP where *path* is not a regular file.
    """
    fd, about = _open_regular(path)
    try:
        chunks: list[bytes] = []
        wanted = limit + 1
        while wanted > 0 and (chunk := os.read(fd, min(wanted, 1 << 20))):
            chunks.append(chunk)
            wanted -= len(chunk)
        return b"".join(chunks), about
    finally:
        os.close(fd)


def open_regular(path: Path) -> BinaryIO:
    """For reading bit by bit; otherwise as ``read_regular``."""
    return os.fdopen(_open_regular(path)[0], "rb")


def _open_regular(path: Path) -> tuple[int, os.stat_result]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        fd = os.open(path, flags)
    except PermissionError:
        _demand_regular(path.lstat(), path)  # a closed folder is no less a folder
        raise
    about = os.fstat(fd)
    try:
        _demand_regular(about, path)
    except OSError:
        os.close(fd)
        raise
    return fd, about


def _demand_regular(about: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.ENOTSUP, "not a regular file", str(path))


def sync_directory(path: Path) -> None:
    """Make the names in *path* durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot sync a directory say so with EINVAL
            raise
    finally:
        os.close(fd)


def sweep_temporaries(folder: Path) -> int:
    """Remove unpublished files of writers that are dead; how many there were."""
    swept = 0
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        pid = path.name.removeprefix(TEMPORARY_PREFIX).partition("-")[0]
        if pid.isdigit() and identity_of(int(pid)) is None:
            path.unlink(missing_ok=True)
            swept += 1
    return swept


def _write_temporary(directory: Path, data: bytes, *, mode: int = 0o600, sync: bool = True) -> Path:
    temporary = directory / f"{TEMPORARY_PREFIX}{os.getpid()}-{next(_serial)}-{os.urandom(4).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600)
    try:
        os.fchmod(fd, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    return temporary


def _rename_no_replace(source: Path, target: Path) -> None:
    import ctypes  # a process that only reads goes without

    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
    if result == 0:
        return
    code = ctypes.get_errno()
    if code not in {errno.EINVAL, errno.ENOSYS}:
        raise OSError(code, os.strerror(code), str(source), None, str(target))
    # A file system without RENAME_NOREPLACE: a second name first, so that nothing is ever overwritten.
    os.link(source, target, follow_symlinks=False)
    source.unlink()
