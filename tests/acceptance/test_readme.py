"""The read-me's tour, run as it is printed: in an empty home, with the real agent and a scripted model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from task_queue.demo.scripted_model import (
    Reply,
    Request,
    Say,
    ScriptedModel,
    UseTool,
    by_task,
    child_environment,
    in_turn,
)

ROOT = Path(__file__).parents[2]
_RUN = re.compile(r"<!-- run by tests/acceptance/test_readme.py -->\n```sh\n(.*?)```", re.DOTALL)


def writes(path: Path, text: str) -> UseTool:
    return UseTool("Write", {"file_path": str(path), "content": text})


def auditor(request: Request) -> Reply:
    """Finds nothing."""
    verdict = {"verdict": "pass", "summary": "As asked.", "findings": [], "checks_run": [], "criteria": []}
    return Say("Judged.") if request.turn > 1 else UseTool("StructuredOutput", verdict)


@pytest.mark.timeout(300)
def test_the_tour_works_as_printed(tmp_path: Path) -> None:
    """Every command of it exits with 0 and both files are there."""
    tour = "\n".join(_RUN.findall((ROOT / "README.md").read_text()))
    project, programs = tmp_path / "project", tmp_path / "bin"
    config = tmp_path / ".config" / "task-queue" / "config.json"
    for folder in (project, programs, config.parent):
        folder.mkdir(parents=True, mode=0o700)
    program = programs / "task-queue"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m task_queue.cli "$@"\n')
    program.chmod(0o700)
    implementer = by_task(
        {
            "with a friendly greeting": in_turn(
                writes(project / "hello.txt", "Hello!\n"), Say("It is written.")
            ),
            "Write bye.txt": in_turn(writes(project / "bye.txt", "Bye!\n"), Say("It is written.")),
        }
    )

    def script(request: Request) -> Reply:
        return auditor(request) if "StructuredOutput" in request.tool_names else implementer(request)

    with ScriptedModel(script) as model:
        agent = {"env": child_environment(tmp_path / "agent", model)}
        config.write_text(json.dumps({"version": "2.1", "task_source_directories": [], "agent": agent}))
        config.chmod(0o600)
        done = subprocess.run(
            ["sh", "-e", "-x", "-c", tour],
            cwd=project,
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "PYTHONPATH": str(ROOT),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    assert "task-queue init" in tour
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "hello.txt").read_text() == "Hello!\n"
    assert (project / "bye.txt").read_text() == "Bye!\n"
