"""Where programs are looked for. Pure."""

from __future__ import annotations

_DEFAULT = "/bin:/usr/bin"


def absolute_entries(path: str) -> str:
    """*path*, the value of PATH, without the entries that mean another folder in each working directory.

    An empty entry means the working directory itself. Of a PATH with no other entries, the usual folders are left.
    """
    return ":".join(entry for entry in path.split(":") if entry.startswith("/")) or _DEFAULT
