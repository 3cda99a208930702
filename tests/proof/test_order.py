"""What a power cut would need: data is synced before a name shows it, the directory after."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proof.bench import ACT, TASK, proof_bench, wait_for
from tests.proof.tracer import why_not_here

pytestmark = pytest.mark.skipif(bool(why_not_here()), reason=str(why_not_here()))
NAMING = {"link", "linkat", "rename", "renameat", "renameat2"}
FINAL = {f".{TASK}.lock", "run.json", "outcome.json", f"{TASK}.json", f"{TASK}.md", "task.md"}


def test_every_name_is_durable_before_the_next_step(tmp_path: Path) -> None:
    """Between two names that an actor gives, the first one's directory was synced; and its data before it."""
    with proof_bench(tmp_path / "home") as bench:
        bench.rig.drop(TASK, f"---\nexecutor: sh\n---\n{ACT}\n")
        traced = bench.trace("run", "--drain")
        wait_for(traced.ended, "the daemon is drained")
        calls = [entry for entry in traced.entries() if "nth" in entry]

        named: set[str] = set()
        for actor in ("daemon", "runner"):
            unsynced: Path | None = None
            synced: set[str] = set()
            for call in (entry for entry in calls if entry["actor"] == actor):
                path = Path(call["path"])
                if call["call"] == "fsync":
                    synced.add(str(path))
                    unsynced = None if unsynced is not None and path == unsynced.parent else unsynced
                elif call["call"] in NAMING:
                    assert unsynced is None, f"{path.name} was named before {unsynced} was durable"
                    if call["call"] == "linkat":
                        assert any(Path(name).parent == path.parent and ".tq-" in name for name in synced)
                    synced.clear()
                    unsynced = path
                    named.add(path.name)
            assert unsynced is None, f"{unsynced} was never made durable"

        assert named >= FINAL


def test_what_was_spent_is_durable_before_the_next_step(tmp_path: Path) -> None:
    """A budget is decided by it: written, then synced, then the call returns. The event log only tells of it."""
    folder, log = tmp_path / "state", tmp_path / "calls"
    folder.mkdir()
    script = (
        "import sys, pathlib, datetime; from task_queue.daemon.admission.ledger import Ledger;"
        "folder = pathlib.Path(sys.argv[1]);"
        "Ledger(folder / 'ledger.jsonl').enter('a', 'task-a', 1, 0.5, at=datetime.datetime.now(datetime.UTC));"
        "(folder / 'next').touch()"
    )
    spec = {"watch": [str(folder)], "log": str(log)}
    subprocess.run(
        [
            sys.executable, "-m", "tests.proof.tracer", json.dumps(spec),
            sys.executable, "-c", script, str(folder),
        ],
        cwd=Path(__file__).parents[2], timeout=60, check=True,
    )  # fmt: skip
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    told = [(call["call"], Path(call["path"]).name) for call in calls if "nth" in call]

    written, after = told.index(("write", "ledger.jsonl")), [name for _, name in told].index("next")
    assert ("fsync", "ledger.jsonl") in told[written:after]
