"""What a power cut would need: data is synced before a name shows it, the directory after."""

from __future__ import annotations

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
