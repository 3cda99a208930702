"""Programs as other users, for tests that root runs."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from tests.acceptance.rig import ROOT

_OPENED = """
kept=$(mktemp -d) && mount --bind "$2" "$kept" && mount -t tmpfs -o mode=755 tmpfs "$1" && mkdir -p "$2" &&
mount --move "$kept" "$2" && rmdir "$kept" && shift 2 && exec "$@"
"""
"""Shows in place of the folder $1 no more than $2, which is below it: to this program only, in a mount namespace."""


def as_user(uid: int, *argv: str) -> tuple[str, ...]:
    """*argv* as the user and group *uid*, without privileges; also where Python itself is in a closed folder."""
    python = Path(sys.base_prefix)
    closed = next((path for path in reversed(python.parents) if not path.stat().st_mode & stat.S_IXOTH), None)
    opened = () if closed is None else ("unshare", "-m", "sh", "-c", _OPENED, "sh", str(closed), str(python))
    return (
        *opened,
        "setpriv",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--clear-groups",
        "--inh-caps=-all",
        *argv,
    )


def why_no_other_users(uid: int) -> str | None:
    """Why the tests cannot be other users here, None if they can."""
    if os.geteuid() != 0:
        return "only root can be other users"
    missing = [program for program in ("setpriv", "unshare") if shutil.which(program) is None]
    if missing:
        return f"{missing[0]} is missing"
    tried = subprocess.run(
        as_user(
            uid,
            sys.executable,
            "-c",
            "import sys, subprocess as s; s.run([sys.executable, '-c', 'import task_queue'], check=True)",
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{sys.executable} cannot run as another user: {tried.stderr[-300:]}" if tried.returncode else None
