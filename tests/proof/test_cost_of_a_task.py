"""What one command costs in calls of the kernel, counted in the real processes: no clock, so no noise.

A number that grows is no fault by itself: say here what the new call is for.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.proof.bench import proof_bench, wait_for
from tests.proof.tracer import why_not_here

pytestmark = pytest.mark.skipif(bool(why_not_here()), reason=str(why_not_here()))

EVERYWHERE = [str(path) for path in Path("/").iterdir()]
LOADER = "/etc/ld.so.cache"
"""Each program opens it as it starts."""
NOTHING = "---\nexecutor: sh\n---\n:\n"
WARM_UP, COUNTED = 2, 2
"""Tasks: the first ones also make the folders, and import what is needed once."""
SYNCS = {
    "daemon": 13,
    # Folders of logs and of the task, for the folders made in them; snapshot and lock, each with its folder: 6.
    # Result and report, each with its folder: 4. The document's move: 2 folders. The lock's removal: 1.
    "runner": 5,
    # Run record and ending, each with its folder: 4. The transcript before the ending.
}
"""Within the queue's folder. Each is a step of the table that ``test_order`` checks, and recovery relies on it."""
PROCESSES = {
    "daemon": 2,  # the runner's id, behind the descriptor by which it is waited for; now and then its main thread
    "runner": 1,  # when it began, for its record
}
"""At most so many files are opened below /proc. A search for what is left opens one of each process of the machine."""
PROGRAMS = 1
"""The command itself: its workspace is in no repository, so no git is asked."""
FILES = {"daemon": 32, "runner": 22}
"""At most so many are opened: by the daemon in the queue's folder (how often it looks elsewhere depends on the time
that a task takes), by the runner anywhere."""


def test_a_command_that_does_nothing(tmp_path: Path) -> None:
    with proof_bench(tmp_path / "home") as bench:
        for number in range(WARM_UP + COUNTED + 1):
            bench.rig.drop(f"task-{number}", NOTHING)
        traced = bench.trace("run", "--drain", watch=EVERYWHERE, opens=True)
        wait_for(traced.ended, "the daemon is drained")
        calls = traced.entries()
        locks = [
            place
            for place, call in enumerate(calls)
            if call.get("call") in {"link", "linkat"} and call["path"].endswith(".lock")
        ]
        counted = calls[locks[WARM_UP] : locks[WARM_UP + COUNTED]]

        syncs, processes, files = Counter[str](), Counter[str](), Counter[str]()
        programs = 0
        for call in counted:
            actor, path = call["actor"], call["path"]
            in_queue = path.startswith(str(bench.queue))
            syncs[actor] += call["call"] == "fsync" and in_queue
            if call["call"] in {"open", "openat"}:
                processes[actor] += path.startswith("/proc/")
                files[actor] += in_queue or actor == "runner"
                programs += actor == "agent" and path == LOADER

    assert {actor: syncs[actor] / COUNTED for actor in SYNCS} == SYNCS
    assert programs == PROGRAMS * COUNTED
    for actor, most in PROCESSES.items():
        assert processes[actor] / COUNTED <= most, actor
    for actor, most in FILES.items():
        assert most / 2 < files[actor] / COUNTED <= most, actor
