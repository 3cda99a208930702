"""Which file system serves a path, by the kernel's mount table and without touching the path.

Asking the path itself (``stat``) can block for ever when a network file system does not answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import NamedTuple

import psutil

_REMOTE = frozenset(
    {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "vboxsf", "virtiofs"}
)


class Mount(NamedTuple):
    point: str
    kind: str
    """The file system's type as mount(8) calls it, such as ``ext4`` or ``fuse.sshfs``."""


def mounted() -> tuple[Mount, ...]:
    """The mounts as they are now, oldest first; none where there is no table."""
    try:
        return tuple(Mount(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True))
    except OSError:
        return ()


def kind_at(path: PurePath, mounts: Iterable[Mount]) -> str | None:
    """Type of the file system that serves *path*, which must be absolute; None if the table does not say."""
    over = [mount for mount in mounts if path.is_relative_to(mount.point)]
    # Of two mounts on one point the later one covers the earlier.
    nearest = max(reversed(over), key=lambda mount: len(PurePath(mount.point).parts), default=None)
    return None if nearest is None else nearest.kind


def is_remote(kind: str) -> bool:
    """Whether another machine may change files there without this kernel's knowledge."""
    return kind in _REMOTE or kind == "fuse" or kind.startswith("fuse.")
