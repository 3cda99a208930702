"""Which file system serves a path, read from the kernel's mount table without touching the path.

Asking the path itself (``stat``) can block for ever when a network file system does not answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

_TABLE = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")
_REMOTE = frozenset(
    {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "vboxsf", "virtiofs"}
)


@dataclass(frozen=True, slots=True)
class Mount:
    point: PurePath
    kind: str
    """The file system's type as mount(8) calls it, such as ``ext4`` or ``fuse.sshfs``."""


def table_text() -> str:
    """The mount table as it is now, empty where there is none; equal texts mean that nothing changed."""
    try:
        return _TABLE.read_text(errors="surrogateescape")
    except OSError:
        return ""


def parse_table(text: str) -> tuple[Mount, ...]:
    """The mounts of a ``mountinfo`` file (see proc(5)), oldest first."""
    return tuple(mount for line in text.splitlines() if (mount := _parse_line(line)) is not None)


def kind_at(path: PurePath, mounts: Iterable[Mount]) -> str | None:
    """Type of the file system that serves *path*, which must be absolute; None if the table does not say."""
    best: Mount | None = None
    for mount in mounts:
        if not path.is_relative_to(mount.point):
            continue
        # A later mount on the same point covers the earlier one.
        if best is None or len(mount.point.parts) >= len(best.point.parts):
            best = mount
    return None if best is None else best.kind


def is_remote(kind: str) -> bool:
    """Whether another machine may change files there without this kernel's knowledge."""
    return kind in _REMOTE or kind == "fuse" or kind.startswith("fuse.")


def _parse_line(line: str) -> Mount | None:
    before, dash, after = line.partition(" - ")
    fields = before.split(" ")
    if not dash or len(fields) < 5:
        return None
    # The kernel escapes white space and the backslash only, so each escape is one ASCII character.
    point = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
    return Mount(PurePath(point), after.split(" ", 1)[0])
