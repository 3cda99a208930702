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

from task_queue.platform.notify import Notifier
from tests.processes import environments, kill
from tests.waiting import eventually

MARKER = "TASK_QUEUE_ATTEMPT"


def marked() -> set[int]:
    """Every live process that belongs to an attempt."""
    # A process that waits for its attempt has room for the marker, but not source:task:attempt:session.
    return {
        pid
        for pid, lines in environments()
        if any(line.startswith(f"{MARKER}=".encode()) and b":" in line for line in lines)
    }


def sweep() -> None:
    for pid in marked():
        kill(pid)
    eventually(lambda: not marked())


def daemon() -> None:
    notifier = Notifier(os.environ.get("NOTIFY_SOCKET"))
    period = int(os.environ["WATCHDOG_USEC"]) / 2_000_000  # half of what the unit allows
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
