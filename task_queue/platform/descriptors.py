"""How many files a process may have open: as many as the machine allows for the daemon, not for what it starts."""

from __future__ import annotations

import resource
from functools import cache

_MOST = 2**20
"""Enough, where the machine sets no limit."""


@cache
def raised_from() -> tuple[int, int]:
    """Raise our own limit as far as it goes; the soft and hard one that were in force before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return soft, hard


def allowed() -> int:
    """How many files may be open in this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft


def give_back(pid: int) -> None:
    """Give the process *pid*, just started by us, the limit that was ours at first: some programs trust in it."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, raised_from())
