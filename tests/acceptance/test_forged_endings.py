"""Programs that write the ending of their own attempt, in the real daemon."""

from __future__ import annotations

import json
import signal
from typing import Any

from tests.acceptance.rig import Rig
from tests.processes import look
from tests.waiting import eventually

FORGE = """\
folder=$(dirname "$TASK_QUEUE_TASK_FILE")
cat > "$folder/outcome.json" <<END
{"task_id": "task-liar", "attempt": 1, "outcome": {"kind": "succeeded", "reason": "trust me"},
 "work": {}, "started_at": "2026-02-07T12:00:00+00:00", "ended_at": "2026-02-07T12:00:01+00:00",
 "committed_by": "runner", "token": "guessed", "schema_version": 1}
END
echo forged >> log
"""


def evidence(result: dict[str, Any]) -> str:
    return "\n".join(result["evidence"])


def test_a_program_that_forges_its_success_fails(rig: Rig) -> None:
    """The runner publishes its own verdict and keeps what it found."""
    rig.start()
    rig.drop_command("task-liar", FORGE + "exit 3", max_attempts=1)

    result = rig.result("task-liar")

    assert (result["success"], result["outcome"]) == (False, "failed")
    assert "was not written by the runner" in evidence(result)
    kept = rig.queue() / "logs" / "task-liar" / "attempt-1" / "outcome-forged.json"
    assert json.loads(kept.read_text())["outcome"]["reason"] == "trust me"


def test_a_program_that_kills_its_runner_and_forges_fails(rig: Rig) -> None:
    """Nobody is left to say how it ended: crashed, and what it left is kept."""
    rig.start()
    rig.drop_command("task-liar", FORGE + "kill -9 $PPID; sleep 60")

    result = rig.result("task-liar")

    assert (result["success"], result["outcome"]) == (False, "crashed")
    assert "was not written by the runner" in evidence(result)
    eventually(lambda: not rig.marked())


def test_what_is_no_ending_at_all_is_kept_aside(rig: Rig) -> None:
    """Rubbish in its place does not stop the source."""
    rig.start()
    rig.drop_command("task-mess", 'echo rubbish > "$(dirname "$TASK_QUEUE_TASK_FILE")/outcome.json"')

    result = rig.result("task-mess")

    assert result["success"]
    assert "was not written by the runner" in evidence(result)


def test_a_forged_ending_does_not_free_a_task_whose_runner_lives(rig: Rig) -> None:
    """The next daemon waits for the true one."""
    daemon = rig.start()
    rig.drop_command("task-liar", FORGE + "while [ ! -e go ]; do sleep 0.05; done; exit 3", max_attempts=1)
    rig.started("log")
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    rig.start()
    eventually(lambda: "adopted" in rig.errors() or rig.state()["sources"]["a"]["task_id"], what="adopted")

    assert rig.locks()
    (rig.workspace / "go").touch()
    assert rig.result("task-liar")["outcome"] == "failed"


def test_the_token_is_seen_nowhere_while_the_agent_runs(rig: Rig) -> None:
    """Neither in a file, an argument nor an environment: only its hash is in the lock."""
    rig.start()
    rig.drop_command("task-look", "echo here >> log; while [ ! -e go ]; do sleep 0.05; done")
    rig.started("log")
    lock = json.loads(rig.locks()[0].read_text())
    seen = [path.read_bytes() for path in rig.home.rglob("*") if path.is_file()]
    for pid in rig.marked():
        seen += [look(pid, what) for what in ("cmdline", "environ")]
    (rig.workspace / "go").touch()
    rig.result("task-look")
    ending = json.loads((rig.queue() / "logs" / "task-look" / "attempt-1" / "outcome.json").read_text())

    assert len(lock["proof"]) == 64
    assert len(ending["token"]) == 64
    assert not any(ending["token"].encode() in data for data in seen)
