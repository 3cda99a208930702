"""What a task with two rounds takes, with and without keeping what its set-up makes: real daemon, CLI and git.

Everything is local: a virtual environment with pip, and a package of many files in it. The agent is scripted.
"""

from __future__ import annotations

import json
import tempfile
import time
import zipfile
from pathlib import Path

from benchmarks.figures import Findings, Size, progress
from benchmarks.parts import run_alone
from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import TwoAgents, a_repository, audited, git, verdict

FILES = 3_000
_ROUNDS = {Size.SHORT: 1, Size.FULL: 3}
_BYTES = 4_000
_WITHIN_S = 600.0
_WAYS: dict[str, list[str]] = {"set-up every time": ["true"], "kept": []}
"""Each with its first commands: nothing is kept of what follows one that is not known."""


def measure(size: Size) -> Findings:
    """Two tasks of two rounds each way; set-up makes a virtual environment and installs a package of many files."""
    found = Findings("set_up", size)
    for turn in range(_ROUNDS[size]):
        for name, first in _WAYS.items():
            progress(f"{name}, round {turn + 1} of {_ROUNDS[size]}")
            with tempfile.TemporaryDirectory(prefix="task-queue-bench-") as folder:
                for which, (task_s, prepare_s, verify_s, set_ups) in _measured(Path(folder), first):
                    subject = f"{name}, {which} task"
                    found.add("a task, s", subject, task_s)
                    found.add("in prepare, s", subject, prepare_s)
                    found.add("in verify, s", subject, verify_s)
                    found.add("set-ups", subject, set_ups)
    return found


def _measured(folder: Path, first: list[str]) -> list[tuple[str, tuple[float, float, float, int]]]:
    script = TwoAgents(*[verdict("fail", "again"), verdict("pass")] * 2)
    rig = AgentRig(folder, script, **audited(isolation="worktree", landing="merge"))
    try:
        _prepare(rig, first)
        rig.start()
        return [(name, _task(rig, name)) for name in ("first", "second")]
    finally:
        rig.close()


def _prepare(rig: AgentRig, first: list[str]) -> None:
    config = json.loads(rig.config.read_text())
    install = ".venv/bin/pip install --quiet --no-index -r requirements.txt"
    source = config["task_source_directories"][0]
    source["setup"] = [*first, "python3 -m venv .venv", install]
    rig.config.write_text(json.dumps(config))
    repository = a_repository(rig)
    (repository / "requirements.txt").write_text("./vendor/many-1.0-py3-none-any.whl\n")
    (repository / ".gitignore").write_text(".venv/\n")
    (repository / "vendor").mkdir()
    with zipfile.ZipFile(repository / "vendor/many-1.0-py3-none-any.whl", "w") as archive:
        info = "many-1.0.dist-info"
        for number in range(FILES):
            archive.writestr(f"many/part_{number}.py", f"N = {number}\n".ljust(_BYTES, "#"))
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: many\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Requirements")


def _task(rig: AgentRig, name: str) -> tuple[float, float, float, int]:
    began = time.perf_counter()
    rig.ask(f"task-{name}", "# Write lines", verify=json.dumps([".venv/bin/python -c 'import many.part_1'"]))
    result = rig.result(f"task-{name}", timeout=_WITHIN_S)
    took = time.perf_counter() - began
    assert result["outcome"] == "succeeded", result
    phases = result["seconds_by_phase"]
    transcript = rig.queue() / f"logs/task-{name}/attempt-1/transcript.jsonl"
    set_ups = sum(
        '"check_started"' in line and '"setup"' in line and "venv .venv" in line
        for line in transcript.read_text().splitlines()
    )
    verify_s = sum(seconds for phase, seconds in phases.items() if phase.startswith("verify"))
    return took, phases["prepare"], verify_s, set_ups


if __name__ == "__main__":
    run_alone("set_up")
