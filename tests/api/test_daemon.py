"""The daemon starts the API where it is configured, starts it again, and goes on without it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.api.bench import ApiBench
from tests.processes import runs
from tests.waiting import eventually


def test_the_daemon_keeps_it_alive(a_bench: Callable[..., ApiBench]) -> None:
    """After a kill it is there again, and it ends with a killed daemon. ``status`` and ``doctor`` say where it is."""
    bench = a_bench()
    daemon = bench.rig.start()
    eventually(lambda: bench.state.get("pid"))
    first = int(bench.state["pid"])
    eventually(lambda: bench.get("/v1/health").json["status"] == "ok")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: bench.state["pid"] != first and bench.get("/v1/health").status == 200)
    second = int(bench.state["pid"])
    shown = bench.rig.cli("status").stdout

    assert daemon.poll() is None
    assert f"running at unix:{bench.socket_path}, 127.0.0.1:{bench.port}" in " ".join(shown.split())
    assert "the API is served at" in bench.rig.cli("doctor").stdout
    daemon.kill()
    daemon.wait()
    eventually(lambda: not runs(second))
    assert bench.rig.json("status")["api"]["running"] is False


def test_the_daemon_lives_on_where_it_cannot_be_served(a_bench: Callable[..., ApiBench]) -> None:
    bench = a_bench(api={"listen": ["0.0.0.0:1"]})
    bench.rig.start()
    eventually(lambda: "which other machines reach" in bench.rig.daemon_log())
    done = bench.rig.cli("doctor")

    assert "which other machines reach" in done.stdout
    assert bench.rig.json("status")["daemon"]["running"]
