"""A task that writes the queue's own records, in the real daemon: nothing that it forges makes it succeed.

The forgeries are the methods of ``forger.Forger``; a command of an agent without a sandbox reaches as far.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import bash
from tests.acceptance.audits import audits
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.forger import PROOF, Forger
from tests.acceptance.rig import Rig
from tests.acceptance.test_two_of_everything import places
from tests.processes import runs
from tests.waiting import eventually

pytestmark = pytest.mark.long

PROGRAM = Path(__file__).with_name("forger.py")
FORGERIES = [name for name in vars(Forger) if name.startswith(("a_", "an_", "rubbish"))]
TRIES = {"a_link_among_the_completed": 1}
"""Twice, but for a document that has two names: it is ignored as soon as it waits again."""


def forge(rig: Rig, kind: str, task: str = "task-liar") -> str:
    return shlex.join([sys.executable, "-S", str(PROGRAM), kind, str(rig.queue()), task])


def failed_result(rig: Rig, task: str = "task-liar", *, timeout: float = 60) -> dict[str, Any]:
    """Its result, waited for until it lies in failed/ and nowhere else."""
    eventually(
        lambda: places(rig, task) == ["failed"] and not rig.locks(task_id=task),
        timeout=timeout,
        what=f"{task} has failed; {rig.errors()}",
    )
    result: dict[str, Any] = json.loads((rig.queue() / "results" / f"{task}.json").read_text())
    return result


@pytest.mark.parametrize("kind", FORGERIES)
def test_what_a_task_forges_does_not_make_it_succeed(rig: Rig, kind: str) -> None:
    """It fails as often as it may, lies in one place with our result, and the next task runs."""
    tries = TRIES.get(kind, 2)
    rig.start()
    script = f"echo ran >> log\n{forge(rig, kind)}\nexit 3"
    rig.drop_command("task-liar", script, max_attempts=tries, retry_delay="0.1s")

    result = failed_result(rig)

    assert (result["success"], result["state"]) == (False, "failed"), result
    assert result["output"] != "trust me"
    assert 1 <= len(result["attempts"]) <= tries, result
    assert len(rig.side_effects("log")) == len(result["attempts"])
    assert "All is well" not in (rig.queue() / "reports" / "task-liar.md").read_text()
    eventually(lambda: not rig.marked(), what="no process of it is left")
    rig.drop_command("task-next", "true")
    assert rig.result("task-next")["success"]


def test_a_task_cannot_end_another_that_waits(rig: Rig) -> None:
    """A whole record of it, as if it had run: the lock is put away, and the task runs."""
    rig.drop_command("task-a-liar", forge(rig, "another_tasks_claim", "task-victim"), priority=9)
    rig.drop_command("task-victim", "echo ran >> log", retry_delay="0.1s")
    rig.start()
    rig.result("task-a-liar")

    result = rig.result("task-victim")

    assert (result["success"], rig.side_effects("log")) == (True, ["ran"])
    assert result["output"] != "trust me"
    assert list((rig.queue() / "logs").glob("task-victim.lock.*"))


@pytest.mark.parametrize("kind", ["a_lock_with_its_own_proof", "a_lock_without_a_proof"])
def test_nor_by_killing_the_daemon_first(rig: Rig, kind: str) -> None:
    """The next one compares the lock with what the killed one had noted in the state folder."""
    daemon = rig.start()
    rig.drop_command("task-liar", f"echo ran >> log\nkill -9 {daemon.pid}\n{forge(rig, kind)}")
    daemon.wait(timeout=60)
    eventually(lambda: _lock_is_forged(rig) and not _runner_runs(rig), what="the lock is forged")
    rig.start()

    result = rig.result("task-liar")

    assert (result["success"], result["outcome"]) == (False, "crashed"), result
    assert "was not written by the runner" in json.dumps(result["evidence"])
    assert rig.side_effects("log") == ["ran"]


@pytest.mark.parametrize("kind", ["a_lock_with_its_own_proof", "a_result", "a_later_attempt"])
def test_an_agents_shell_gains_as_little(make_agent_rig: MakeAgentRig, kind: str) -> None:
    """With the real CLI, guarded as by default; what it left undone fails its verification."""
    rigs: list[Rig] = []

    def script(request: Request) -> Reply:
        return bash(forge(rigs[0], kind)) if request.turn == 1 else Say("all done")

    rig = make_agent_rig(script)
    rigs.append(rig)
    rig.start()
    rig.ask("task-liar", "do it", verify="test -e never-made", max_attempts=2, retry_delay="0.1s")

    result = failed_result(rig, timeout=120)

    assert result["outcome"] in {"verify_failed", "crashed"}, result
    assert len(result["attempts"]) <= 2
    eventually(lambda: not rig.marked(), what="no process of it is left")


@pytest.mark.parametrize("workflow", ["single", "audited"])
def test_steps_that_were_never_taken_are_taken(make_agent_rig: MakeAgentRig, workflow: str) -> None:
    """Forged in the first attempt, whose runner it kills: the next one verifies, and audits, all the same."""
    rigs: list[Rig] = []
    forged: list[int] = []

    def script(request: Request) -> Reply:
        if audits(request) or forged:  # its session may be lost with it, and begin anew
            return Say("all done")
        forged.append(request.turn)
        return bash(forge(rigs[0], "steps_that_were_never_taken"))

    rig = make_agent_rig(script, defaults={"workflow": workflow, "max_iterations": 1})
    rigs.append(rig)
    rig.start()
    keys = {"verify": "echo verified >> log; test -e never-made"} if workflow == "single" else {}
    rig.ask("task-liar", "do it", retry_delay="0.1s", **keys)

    result = failed_result(rig, timeout=180)

    expected = "verify_failed" if workflow == "single" else "audit_rejected"
    assert [attempt["outcome"] for attempt in result["attempts"]] == ["crashed", expected], result


def _lock_is_forged(rig: Rig) -> bool:
    return any(json.loads(lock.read_text()).get("proof") in {"", PROOF} for lock in rig.locks())


def _runner_runs(rig: Rig) -> bool:
    return runs(rig.run_record("task-liar")["pid"])
