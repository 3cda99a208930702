"""Whether a file in ``pending/`` is a task's document, and complete.

A half-written task is never run: a file counts once no process has it open for writing and it has been
quiet for a while. A half-copied file whose writer died looks like a finished one; writing to
``staging/`` and renaming is the safe way.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from dataclasses import dataclass
from pathlib import Path

_LEASE_UNSUPPORTED = frozenset({errno.EINVAL, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})
_KINDS = {
    stat.S_IFLNK: "is a symbolic link",
    stat.S_IFDIR: "is a directory",
    stat.S_IFIFO: "is a FIFO",
    stat.S_IFSOCK: "is a socket",
}
_devices: dict[int, int] = {}


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Changes whenever the file's content, name or attributes do."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, about: os.stat_result) -> FileStamp:
        # One number object for what is equal: there may be 100,000 stamps.
        device = _devices.setdefault(about.st_dev, about.st_dev)
        changed_ns = about.st_ctime_ns
        modified_ns = changed_ns if about.st_mtime_ns == changed_ns else about.st_mtime_ns
        return cls(device, about.st_ino, about.st_size, modified_ns, changed_ns)


def why_not_a_document(about: os.stat_result) -> str | None:
    """Why the file that lstat(2) saw cannot be a task's document, None if it can."""
    mode = about.st_mode
    if not stat.S_ISREG(mode):
        return _KINDS.get(stat.S_IFMT(mode), "is a device")
    if about.st_uid != os.geteuid():
        return f"belongs to another user (uid {about.st_uid})"
    if about.st_nlink != 1:
        return f"is a hard link (link count {about.st_nlink})"
    if not mode & stat.S_IRUSR:
        return "is unreadable (no read permission for its owner)"
    return None


def is_being_written(path: Path) -> bool:
    """Whether another process has *path* open for writing: then a read lease on it is refused (fcntl(2)).

    False where the file system has no leases. Raises OSError if the file cannot be opened.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        # A lease broken between the two calls is reported by a signal: one that is ignored by default.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno in _LEASE_UNSUPPORTED:
            return False
        if error.errno == errno.EAGAIN:
            return True
        raise
    finally:
        os.close(fd)
    return False
