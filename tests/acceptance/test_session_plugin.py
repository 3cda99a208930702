"""The plugin for a person's own sessions: the real CLI loads it, and ``/queue`` adds a task to a queue."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from task_queue.app.prompts import SESSION_PLUGIN
from task_queue.demo.scripted_model import Say, ScriptedModel, child_environment, in_turn
from tests.acceptance.test_guide import a_home, bash
from tests.house.tables import ROOT

_ADD = """\
task-queue tasks add - --name fix-total --verify "pytest -q" <<'END'
# Fix total()

It leaves out the first price.
END
"""


@pytest.mark.timeout(180)
def test_a_conversation_hands_its_work_to_the_queue_of_its_project(tmp_path: Path) -> None:
    """Not to the queue that is registered first; and nothing that the skill needs is denied."""
    programs, blog = a_home(tmp_path), tmp_path / "blog"
    blog.mkdir()
    with ScriptedModel(in_turn(bash(_ADD), Say("It is queued."))) as model:
        path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
        env = {**child_environment(tmp_path, model, path=path), "PYTHONPATH": str(ROOT)}

        def typed(folder: Path, *command: str) -> str:
            return subprocess.run(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=90,
                check=True,
            ).stdout

        typed(tmp_path / "shop", "task-queue", "init")
        typed(
            blog, *["task-queue", "sources", "add", "tasks/blog", "--id", "blog", "--project-workspace", "."]
        )
        talk = ["claude", "--output-format", "stream-json", "--verbose", "--permission-mode", "default", "-p"]
        frames = [
            json.loads(line)
            for line in typed(
                blog, *talk, "/queue do this overnight", "--plugin-dir", str(SESSION_PLUGIN)
            ).splitlines()
        ]

    (began,) = (frame for frame in frames if frame.get("subtype") == "init")
    assert "queue:queue" in began["skills"]
    assert "queue:queue" in began["slash_commands"]
    assert not began.get("plugin_errors")
    assert "The user asks of the task queue: do this overnight" in model.requests[0].first_text
    assert _result(frames)["permission_denials"] == []
    (document,) = tmp_path.glob("*/tasks/*/pending/task-*.md")
    assert document.parts[-5:-1] == ("blog", "tasks", "blog", "pending")
    assert document.read_text().startswith("---\nverify: pytest -q\n---\n# Fix total()\n")
    assert "queued in blog (~/blog), 1st of 1" in model.requests[-1].tool_results[-1]


def _result(frames: list[dict[str, Any]]) -> dict[str, Any]:
    return next(frame for frame in frames if frame["type"] == "result")
