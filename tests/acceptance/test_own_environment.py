"""A task never finds the Python environment that the queue is installed in; with the real daemon in a real one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, verdict
from tests.acceptance.conftest import MakeAgentRig

OWN = Path(sys.prefix)
OTHERS = os.pathsep.join(
    entry for entry in os.environ["PATH"].split(os.pathsep) if not Path(entry).is_relative_to(OWN)
)
ACTIVATED = {
    "PATH": f"{OWN}/bin{os.pathsep}{OTHERS}",
    "VIRTUAL_ENV": str(OWN),
    "VIRTUAL_ENV_PROMPT": "(queue)",
}
STARTED = {
    "from a shell with it activated": ACTIVATED,
    "by its absolute path": {"PATH": OTHERS},
    "by a unit that was installed from such a shell": {"PATH": ACTIVATED["PATH"]},
}
LOOK = (
    'echo "$(command -v python3) $(python3 -c "import sys; print(sys.prefix)") [$VIRTUAL_ENV$PYTHONHOME$PYTHONPATH]'
    ' $(python3 -c "import task_queue" 2>/dev/null && echo found)"'
)


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="the tests run outside of a virtual environment")
@pytest.mark.parametrize("started", STARTED)
def test_nothing_of_a_task_runs_in_the_queues_environment(make_agent_rig: MakeAgentRig, started: str) -> None:
    """The agent, set-up, verification, a hook and a configured command, each as the daemon was started."""
    script = TwoAgents(verdict("pass"))
    rig = make_agent_rig(script, **audited(isolation="worktree", landing="merge"))
    seen = rig.home / "seen"
    script.work = f"{LOOK} >> {seen}; echo round >> work.txt"
    repository = a_repository(rig)
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{LOOK} >> {seen}\n")
    hook.chmod(0o755)
    config = json.loads(rig.config.read_text())
    config["task_source_directories"][0]["setup"] = [f"{LOOK} >> {seen}"]
    rig.config.write_text(json.dumps(config))
    rig.start(environment=STARTED[started])
    rig.ask("task-a", "# Write a line", verify=json.dumps(f"{LOOK} >> {seen}"))
    rig.drop_command("task-b", f"{LOOK} >> {seen}", workflow="single", isolation="none")

    results = [rig.result(name, timeout=SLOW) for name in ("task-a", "task-b")]

    lines = seen.read_text().splitlines()
    assert [result["outcome"] for result in results] == ["succeeded", "succeeded"], results
    assert len(lines) == 6  # set-up runs in the task's checkout and in the one where verify runs
    assert not [line for line in lines if str(OWN) in line or "[]" not in line or line.endswith("found")]
