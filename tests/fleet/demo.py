"""A fleet on this machine, to look at: PostgreSQL, three hosts with a home each, tasks, one host killed, the report.

    make fleet-demo

It takes about two minutes, asks no model, ends by itself and leaves nothing.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.fleet.cluster import own_cluster, why_no_cluster
from tests.proof.fleet import Fleet, signal_all
from tests.waiting import eventually, within

_HOSTS = ("front", "middle", "back")
_SOURCES = ("docs", "shop", "site")
_TASKS = 9
_PATIENCE_S = 240


def main() -> int:
    why = why_no_cluster()
    if why is not None:
        print(why)
        return 2
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tq-fleet-demo-")))
        _say("a PostgreSQL, in a temporary folder on a unix socket")
        cluster = stack.enter_context(own_cluster())
        _say(f"three hosts, each with a home and a daemon of its own: {', '.join(_HOSTS)}")
        fleet = stack.enter_context(Fleet(home, cluster, _HOSTS, _SOURCES))
        place = ("--db", cluster.url)
        _say(f"{_TASKS} tasks are dropped on front, in {len(_SOURCES)} sources that all three have")
        fleet.drop(_TASKS, takes_s=6)
        eventually(lambda: all(fleet.begun_on(host) for host in _HOSTS), what="each host has a task")
        print(fleet.front.cli("fleet", "status", *place).stdout)
        lost = sorted(fleet.begun_on("middle"))
        _say(f"middle is killed, with all that runs on it: {', '.join(lost)}")
        signal_all(fleet.hosts["middle"], signal.SIGKILL)
        killed_at = time.monotonic()
        again = within(_PATIENCE_S, lambda: all(_begun_again(fleet, task) for task in lost))
        _say(f"{', '.join(lost)} began again elsewhere, {time.monotonic() - killed_at:.0f} s later")
        done = again and within(_PATIENCE_S, lambda: fleet.ended() == _TASKS)
        print(fleet.front.cli("fleet", "status", *place).stdout)
        _say("the report of front, where all of it came in")
        print(fleet.front.cli("report").stdout)
        for line in fleet.lines():
            if line.what == "start":
                print(f"  {line.task} began on {line.host}")
    return 0 if done else 1


def _begun_again(fleet: Fleet, task: str) -> bool:
    return sum(1 for line in fleet.lines() if line.what == "start" and line.task == task) > 1


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
