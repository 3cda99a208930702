"""A repository task through the real SDK and CLI, on a machine of another user without a path to the server's files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from task_queue.demo.scripted_model import Say, UseTool, in_turn
from tests.acceptance.agents import bash
from tests.users import as_user, why_no_other_users
from tests.worker.bench import WorkerBench

UID = 64021
_CLOSED = why_no_other_users(UID)
FIX = "def total(prices):\n    return sum(prices)\n"


@pytest.mark.parametrize(
    "uid",
    [
        pytest.param(None, marks=pytest.mark.long),
        pytest.param(UID, marks=pytest.mark.skipif(_CLOSED is not None, reason=str(_CLOSED))),
    ],
    ids=["another home", "another user"],
)
def test_an_agents_commits_are_verified_and_landed(
    make_bench: Callable[..., WorkerBench], uid: int | None
) -> None:
    """Transcript, cost and result are on the server as of any task."""
    script = in_turn(
        UseTool("Write", {"file_path": "shop.py", "content": FIX}), bash("cat shop.py"), Say("fixed")
    )
    bench = make_bench(script=script, uid=uid)
    worker = bench.start_worker()
    task_id = bench.submit(
        "Fix total().",
        executor="claude",
        landing="merge",
        verify=["python3 -c 'import shop; assert shop.total([2, 3]) == 5'"],
    )
    task = bench.ended(task_id, timeout=120)
    result = task["result"]
    lines = bench.api.get(f"/v1/tasks/{task_id}/transcript").data.splitlines()
    run = bench.api.get("/v1/workers").json

    assert (task["status"], result["outcome"], result["output"]) == ("completed", "succeeded", "fixed"), (
        result,
        bench.said(),
    )
    assert result["landing"]["state"] == "landed"
    assert bench.git("show", "main:shop.py") + "\n" == FIX
    assert result["total_cost_usd"] > 0
    assert result["num_turns"] >= 2
    assert all(json.loads(line) for line in lines)
    assert b"Write" in b"".join(lines)
    assert run["remote"] == []
    assert bench.stop_worker(worker) == 0
    assert bench.processes() == []
    if uid is not None:
        seen = subprocess.run(as_user(uid, "ls", str(bench.project)), capture_output=True, check=False)
        assert seen.returncode != 0
        assert {path.stat().st_uid for path in bench.machine.rglob("*")} == {uid}
