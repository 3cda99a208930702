"""A clock that jumps while the API runs: no credential becomes good by it, nothing is lost, and streams go on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from task_queue.platform.isolated import words_for
from tests.api.bench import ApiBench
from tests.api.test_events import stream
from tests.api.test_tasks import submitted

_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.mark.skipif(not _FAKETIME.exists(), reason="apt-get install faketime")
def test_the_clock_jumps(a_bench: Callable[..., ApiBench]) -> None:
    """Ahead by two days and back by two."""
    bench = a_bench()
    offset = bench.rig.home / "offset"

    def jump(to: str) -> None:
        offset.with_suffix(".new").write_text(to)
        os.replace(offset.with_suffix(".new"), offset)  # noqa: PTH105 - as one step

    jump("+0")
    bench.rig.environment |= {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }
    # As the API starts itself anew: without the variables that libfaketime reads as it is loaded.
    bench.start(program=words_for("task_queue.api"))
    token = bench.token("boss", "admin")
    short = bench.rig.cli(
        *("tokens", "create", "--name", "short", "--role", "read", "--expires", "1d"), check=True
    ).stdout.strip()
    first = submitted(bench, key="k").json["id"]
    events = stream(bench, token)
    assert next(events)["event"] == "person_acted"

    jump("+2d")
    assert bench.get("/v1/health", token=token).status == 200
    assert bench.get("/v1/tasks", token=short).status == 401
    assert submitted(bench, key="k").json["id"] == first
    second = submitted(bench, title="Ahead").json["id"]

    jump("-2d")
    assert submitted(bench, key="k").json["id"] == first
    third = submitted(bench, title="Back").json["id"]
    assert {task["id"] for task in bench.get("/v1/tasks").json["tasks"]} == {first, second, third}
    begun = time.monotonic()
    seen: set[str] = set()
    while not any(second in each for each in seen) or not any(third in each for each in seen):
        seen.add(next(events)["data"])
        assert time.monotonic() - begun < 30
    assert bench.get("/v1/tasks?sort=created_at&limit=1").status == 200
