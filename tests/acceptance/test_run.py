"""``run --cycles N`` over several sources: no task is begun only to be killed at the end."""

from __future__ import annotations

from tests.acceptance.conftest import MakeRig


def test_run_begins_no_more_tasks_than_it_was_given_cycles(make_rig: MakeRig) -> None:
    """Both sources began one, and the one that had not ended first was killed: failed, interrupted."""
    rig = make_rig(sources=("a", "b", "c"))
    for source in ("a", "b", "c"):
        rig.drop_command(f"task-{source}", "sleep 1", source=source)

    done = rig.cli("run", "--cycles", "2")

    began = [line for line in done.stderr.splitlines() if line.endswith("begins")]
    left = [path for source in ("a", "b", "c") for path in rig.pending(source).glob("task-*.md")]
    assert done.returncode == 0, done.stderr
    assert (len(began), len(left)) == (2, 1)
    assert done.stderr.count("completed") == 2
