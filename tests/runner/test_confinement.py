"""What the sandbox hides in which the queue runs files of a sandboxed task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from task_queue.domain.document.choices import Profile
from task_queue.domain.document.naming import copy_of
from task_queue.domain.document.settings import Settings
from task_queue.domain.task import TaskId
from task_queue.ports.executor import ExecutorKind
from task_queue.runner.confinement import sandbox_for_commands
from tests.agents.test_executors import order_for


def test_commands_of_the_queue_see_no_copy_of_a_task(tmp_path: Path) -> None:
    """Of no source: ``verify`` and ``setup`` need none."""
    order = replace(
        order_for(tmp_path, ""),
        executor=ExecutorKind.CLAUDE,
        settings=replace(Settings(), permissions=Profile.SANDBOXED),
        agent_copy=tmp_path / "documents" / "web" / copy_of(TaskId("task-a"), source="web"),
    )

    sandbox = sandbox_for_commands(order, order.workspace, owner=None)

    assert sandbox is not None
    assert tmp_path / "documents" in sandbox.hidden
