"""The recipes for other agents, with stand-ins for their programs; with the real daemon and git."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.acceptance.audits import a_repository, git
from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import ROOT

PAGE = ROOT / "docs/other-agents.md"
TAKES = {
    "codex": 'test "$*" = "exec --sandbox workspace-write -" && test -n "$CODEX_API_KEY"',
    "gemini": 'test "$*" = "--approval-mode auto_edit" && test ! -t 0',
    "opencode": 'test "$*" = run',
}
"""What the stand-in for each program demands of its arguments and environment."""


def recipe() -> dict[str, Any]:
    """The configuration as the page prints it."""
    printed = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert printed is not None
    found: dict[str, Any] = json.loads(printed[1])
    return found


def test_each_recipe_lands_its_work(make_rig: MakeRig) -> None:
    """In a checkout of its own: verified, committed with what the program committed itself, and merged."""
    rig = make_rig(**recipe(), defaults={"workflow": "single", "isolation": "worktree", "landing": "merge"})
    repository = a_repository(rig)
    programs = rig.home / "bin"
    programs.mkdir()
    for name, demand in TAKES.items():
        stand_in = programs / name
        stand_in.write_text(
            f'#!/bin/sh\n{demand} || exit 2\nread title\ntest -n "$title" || exit 3\n'
            f"echo first > {name}.txt; git add . && git commit -qm Own || exit 4\n"
            f'echo "$title" >> {name}.txt; echo "I am done"\n'
        )
        stand_in.chmod(0o755)
    rig.environment |= {"PATH": f"{programs}:{rig.environment['PATH']}", "CODEX_API_KEY": "sk-of-a-test"}
    rig.start()
    for name in TAKES:
        rig.drop(
            f"task-{name}", f"---\nexecutor: {name}\nverify: grep -q {name} {name}.txt\n---\n# Say {name}\n"
        )
    results = {name: rig.result(f"task-{name}") for name in TAKES}

    assert set(recipe()["executors"]) == set(TAKES)
    assert {name: result["outcome"] for name, result in results.items()} == dict.fromkeys(TAKES, "succeeded")
    assert {result["landing"]["state"] for result in results.values()} == {"landed"}
    assert {len(result["commits"]) for result in results.values()} == {2}
    assert git(repository, "show", "main:codex.txt") == "first\n# Say codex"
    report = Path(rig.queue() / "reports/task-codex.md").read_text()
    assert "Own (by the agent itself)" in report
    assert "sk-of-a-test" not in report
