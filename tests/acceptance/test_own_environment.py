"""A task never finds the Python environment that the queue is installed in; with the real daemon in a real one."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from task_queue.app.service import render
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, git, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.sampling import short_and_long

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
@pytest.mark.parametrize("started", short_and_long(list(STARTED)[:1], list(STARTED)[1:]))
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


BACKEND = """
import zipfile
def build_editable(folder, *_, **__):
    name = "dummy-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("dummy.py", "")
        wheel.writestr("dummy-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: dummy\\nVersion: 1\\n")
        tag = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr("dummy-1.dist-info/WHEEL", tag)
        wheel.writestr("dummy-1.dist-info/RECORD", "")
    return name
"""
PROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "dummy"
version = "1"
"""
INSTALL = "pip install -q --no-build-isolation --no-deps --no-index -e ."


def a_venv(folder: Path) -> Path:
    base = Path(sys.base_prefix) / "bin/python3"
    subprocess.run([base, "-m", "venv", folder], check=True, env={"PATH": OTHERS})
    return folder


def packages(venv: Path) -> list[str]:
    return sorted(path.name for path in venv.glob("lib/*/site-packages/*"))


@pytest.mark.long
@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="the tests run outside of a virtual environment")
def test_what_a_task_installs_goes_into_the_owners_environment(make_agent_rig: MakeAgentRig) -> None:
    """``pip install -e .`` by an agent and a command. The queue runs as its unit, installed while it was activated."""
    script = TwoAgents(verdict("pass"), work=f"{INSTALL} && echo round >> work.txt")
    rig = make_agent_rig(script, **audited(isolation="worktree", landing="merge"))
    queue, own = a_venv(rig.home / "queue-venv"), a_venv(rig.home / "own-venv")
    (site,) = queue.glob("lib/*/site-packages")
    (site / "queue.pth").write_text(sysconfig.get_path("purelib") + "\n")
    repository = a_repository(rig)
    (repository / "pyproject.toml").write_text(PROJECT)
    (repository / "backend.py").write_text(BACKEND)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "A project")
    before = packages(queue)
    path = f"{queue}/bin:{own}/bin:{OTHERS}"
    unit = render(
        [str(queue / "bin/python"), "-m", "task_queue.cli"],
        environment={"PATH": path},
    )
    lines = [line.partition("=") for line in unit.splitlines()]
    given = dict(
        word.split("=", 1) for key, _, value in lines if key == "Environment" for word in shlex.split(value)
    )
    (command,) = (shlex.split(value) for key, _, value in lines if key == "ExecStart")
    rig.start(environment=given, program=command[:-1])
    rig.ask("task-a", "# Write a line")
    by_agent = rig.result("task-a", timeout=SLOW)
    of_agent = packages(own)
    subprocess.run([own / "bin/pip", "uninstall", "-qy", "dummy"], check=True, env={"PATH": OTHERS})
    rig.drop_command("task-b", f"{INSTALL} && echo b > b.txt", workflow="single")
    by_command = rig.result("task-b", timeout=SLOW)

    assert [by_agent["outcome"], by_command["outcome"]] == ["succeeded", "succeeded"], script.told
    assert "dummy-1.dist-info" in of_agent
    assert "dummy-1.dist-info" in packages(own)
    assert packages(queue) == before
    assert git(repository, "ls-tree", "--name-only", "main", "work.txt", "b.txt").split() == [
        "b.txt",
        "work.txt",
    ]
