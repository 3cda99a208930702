"""What an idle fleet asks of its database: three hosts, to which nothing happens. Counted by PostgreSQL.

python -m tests.proof.fleet_idle --seconds 60
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg

from tests.fleet.cluster import Cluster, own_cluster, why_no_cluster
from tests.proof.fleet import SOURCES, Fleet
from tests.waiting import within

_NAMES = ("front", "middle", "back")
_COUNTED = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'"
_SETTLES_S = 10.0


def transactions_per_s(cluster: Cluster, seconds: float) -> float:
    """Of all sessions but the one that asks."""
    with closing(psycopg.connect(cluster.url, autocommit=True)) as connection:

        def counted() -> int:
            ((count,),) = connection.execute(_COUNTED).fetchall()
            return int(count)

        before, began = counted(), time.monotonic()
        time.sleep(seconds)
        return (counted() - before - 1) / (time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    wanted = parser.parse_args()
    why = why_no_cluster()
    if why is not None:
        print(why)
        return 2
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tq-fleet-")))
        cluster = stack.enter_context(own_cluster())
        made = Fleet(home, cluster, _NAMES, SOURCES)
        for host in made.hosts.values():
            host.config.write_text(json.dumps({**json.loads(host.config.read_text()), "sweep_seconds": 30}))
        fleet = stack.enter_context(made)
        fleet.drop(len(SOURCES), takes_s=0)
        within(60, lambda: fleet.ended() == len(SOURCES))
        time.sleep(_SETTLES_S)
        rate = transactions_per_s(cluster, wanted.seconds)
    print(
        json.dumps(
            {"hosts": len(_NAMES), "sources": len(SOURCES), "per_host_and_s": round(rate / len(_NAMES), 2)}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
