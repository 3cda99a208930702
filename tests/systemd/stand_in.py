"""Stands in for task-queue in front of systemd: its commands, its signals, one runner, and no task.

``stand_in.py daemon`` adopts the marked process that it finds, or starts one; SIGTERM ends it first.
``stand_in.py daemon --sweep`` ends every marked process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from task_queue.platform.notify import Notifier, watchdog_period
from tests.waiting import eventually

MARKER = "TASK_QUEUE_ATTEMPT"


def marked() -> set[int]:
    """Every live process that belongs to an attempt."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile
        # A process that waits for its attempt has room for the marker, but not source:task:attempt:session.
        for variable in environment.split(b"\0"):
            name, _, value = variable.partition(b"=")
            if name == MARKER.encode() and b":" in value:
                found.add(int(entry.name))
    return found


def sweep() -> None:
    for pid in marked():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not marked())


def daemon() -> None:
    notifier = Notifier(os.environ.get("NOTIFY_SOCKET"))
    period = watchdog_period(
        os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID"), own_pid=os.getpid()
    )
    stopping = threading.Event()

    def reload(*_: object) -> None:
        notifier.reloading()
        notifier.ready()

    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGHUP, reload)
    # Ended runners of ours are not to stay behind as zombies.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if not marked():
        subprocess.Popen(
            ["sleep", "1000"], start_new_session=True, env={MARKER: "stand-in:task:1:session", **os.environ}
        )
    notifier.ready()
    while not stopping.wait(period):
        notifier.watchdog()
    notifier.stopping()
    sweep()


if __name__ == "__main__":
    if sys.argv[1:] == ["daemon"]:
        daemon()
    elif sys.argv[1:] == ["daemon", "--sweep"]:
        sweep()
    else:
        sys.exit(f"unknown arguments: {sys.argv[1:]}")
