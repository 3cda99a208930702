"""What the daemon recorded of real tasks, as ``stats`` sums it up, and the same after ``reindex``."""

from __future__ import annotations

from tests.acceptance.rig import Rig


def test_what_ended_is_summed_up_and_reindex_keeps_it(rig: Rig) -> None:
    rig.start()
    rig.drop_command("task-good", "sleep 0.2", type="coding")
    rig.drop_command("task-bad", "exit 3", type="review", max_attempts=2, retry_delay="1s")
    rig.result("task-good")
    rig.result("task-bad")

    stats = rig.json("stats", "--since", "1h", "--by", "type")
    rig.cli("reindex", check=True)
    again = rig.json("stats", "--by", "type")

    whole = stats["all"]
    assert whole["states"] == {"completed": 1, "failed": 1}
    assert whole["success_rate"] == 0.5
    assert (whole["retries"], whole["tasks_retried"], whole["dead_letters"]) == (1, 1, 1)
    assert whole["waited"]["known"] == 2
    assert whole["ran"]["p90_s"] >= 0.2
    assert {group["name"]: group["states"] for group in stats["groups"]} == {
        "coding": {"completed": 1},
        "review": {"failed": 1},
    }
    assert again["all"] == whole
    assert "By type" in rig.cli("stats", "--by", "type").stdout
