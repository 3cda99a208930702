"""Machines of a fleet that share no process ids and no network: each has namespaces of its own, with its own init.

Their database is on a unix socket, which a network namespace does not close.
"""

from __future__ import annotations

import subprocess

import psutil

from tests.fleet.machines import Machine
from tests.processes import kill
from tests.waiting import eventually
from tests.warm import PROGRAM, Process, start_cli

_OWN = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_INIT = ("sh", "-c", 'ip link set lo up 2>/dev/null; "$@"; exec sleep 10000', "sh")
"""It lives on when the daemon is killed, as a machine does."""


def why_no_namespaces() -> str | None:
    """Why hosts cannot have namespaces of their own here, None if they can."""
    try:
        done = subprocess.run([*_OWN, "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"unshare cannot be run: {error.strerror}"
    return f"namespaces are not allowed here: {done.stderr.strip()}" if done.returncode else None


class IsolatedMachine(Machine):
    def start(self, **_: object) -> Process:
        with (self.home / "daemon.err").open("a") as errors:
            daemon = start_cli(
                ("--config", str(self.config), "daemon"),
                env=self.environment,
                cwd=self.home,
                stderr=errors,
                program=(*_OWN, *_INIT, *PROGRAM),
            )
        self.daemons.append(daemon)

        def serves() -> bool:
            assert daemon.poll() is None, self.errors()
            return self.state().get("stopped_at") is None and bool(self.state())

        eventually(serves, what="the daemon serves")
        return daemon

    def daemon_process(self) -> psutil.Process:
        (init,) = psutil.Process(self.daemons[-1].pid).children()
        return next(each for each in init.children() if "daemon" in each.cmdline())

    def close(self) -> None:
        """With its namespace goes all that runs in it."""
        for daemon in self.daemons:
            daemon.kill()
            daemon.wait()
        for pid in self.marked():
            kill(pid)
