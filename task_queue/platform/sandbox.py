"""Runs a command under bubblewrap: what it can write is listed, and it reaches no network and no other process.

The files of the system can be read. ``/tmp`` and ``/run`` are empty and private to the command: sockets of
agents that sign or log in, of containers and of the session are there. It ends with the process that started it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_PROGRAM = "bwrap"
_PRIVATE = (Path("/tmp"), Path("/run"), Path("/var/tmp"))  # noqa: S108 - named to be covered
_SECRETS = (
    ".ssh",
    ".gnupg",
    ".aws",
    ".claude",
    ".claude.json",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".config/gcloud",
    ".config/git/credentials",
    ".azure",
    ".git-credentials",
    ".config/gh",
    ".docker",
    ".kube",
)
"""Below a home: what logs in somewhere, which a command of the agent's making needs for nothing."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What commands can reach. Of two paths the deeper one decides; a path that is not there is left out."""

    readable: tuple[Path, ...] = ()
    """Needed only for what is below a folder that is covered."""
    writable: tuple[Path, ...] = ()
    fixed: tuple[Path, ...] = ()
    """To be read only, although they are below one that can be written."""
    hidden: tuple[Path, ...] = ()

    def with_writable(self, *paths: Path) -> Sandbox:
        return replace(self, writable=(*self.writable, *paths))

    def with_readable(self, *paths: Path) -> Sandbox:
        return replace(self, readable=(*self.readable, *paths))

    def around(self, argv: Sequence[str], *, directory: Path) -> list[str]:
        """The command that runs *argv* in *directory*; it ends as *argv* does, or with what bubblewrap says."""
        covers: dict[Path, tuple[str, ...]] = {}
        for path in _there(_PRIVATE):
            covers[path] = ("--tmpfs", str(path))
        for given, how in (
            (self.readable, "--ro-bind"),
            (self.writable, "--bind"),
            (self.fixed, "--ro-bind"),
        ):
            for path in _there(given):
                covers[path] = (how, str(path), str(path))
        for path in _there(self.hidden):
            covers[path] = ("--tmpfs", str(path)) if path.is_dir() else ("--ro-bind", os.devnull, str(path))
        in_order = sorted(covers, key=lambda path: len(path.parts))
        return [
            *(_PROGRAM, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"),
            *("--dev", "/dev", "--proc", "/proc"),
            *(word for path in in_order for word in covers[path]),
            *("--setenv", "TMPDIR", "/tmp", "--unsetenv", "SSH_AUTH_SOCK", "--chdir", str(directory), "--"),  # noqa: S108
            *argv,
        ]


def secrets_below(home: Path) -> tuple[Path, ...]:
    """Where programs keep logins and keys."""
    return tuple(home / name for name in _SECRETS)


def _there(paths: Iterable[Path]) -> list[Path]:
    """Through links, because bubblewrap follows none where it mounts."""
    real = (Path(os.path.realpath(path)) for path in paths)
    return [path for path in real if path.exists()]
