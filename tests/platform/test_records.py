"""Whatever we publish can be read back."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from task_queue.domain.attempt.spending import Meter
from task_queue.domain.document.settings import resolve
from task_queue.domain.model import Ending, Outcome, OutcomeKind, Work
from task_queue.domain.task import TaskId
from task_queue.domain.work.commits import Signature
from task_queue.domain.work.worktrees import Keep
from task_queue.platform.records import decode, encode
from task_queue.ports.attempt_log import LogAddress
from task_queue.ports.executor import AgentSetup, ExecutorKind, GitSetup, Order
from tests.claims import a_claim

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)


def test_a_name_that_is_no_text_can_be_read_back() -> None:
    """An ending that names such a file would otherwise be unreadable, and the attempt would have none."""
    name = os.fsdecode(b"caf\xe9")
    reason = f'left uncommitted: {name}, \\ud83d, "\n'
    ending = Ending(TaskId("task-a"), 1, Outcome(OutcomeKind.FAILED, reason), Work(), NOW, NOW, "runner")

    read = decode(Ending, encode(ending))

    assert read.outcome.reason == 'left uncommitted: caf\\udce9, \\ud83d, "\n'
    assert encode(read) == encode(ending)


def test_an_order_reaches_its_runner_as_it_was_given() -> None:
    """Paths, durations and every part of the set-up, not only what a test happens to use."""
    claim = a_claim(started_at=NOW)
    order = Order(
        claim=claim,
        source="web",
        title="A task",
        body="Do it.",
        document=Path("/a/task.md"),
        agent_copy=Path("/data/documents/web/task-a.md"),
        scratch=Path("/a"),
        temporary=Path("/tmp/q"),
        log=LogAddress("folder", "/q/pending"),
        queue_dirs=(Path("/q"),),
        workspace=Path("/w"),
        git=GitSetup(
            worktrees=Path("/state/worktrees/web"),
            keep=Keep(3, timedelta(days=7)),
            signature=Signature(author_name="Queue", author_email="q@example.org"),
            setup=("make deps",),
            judges=("*.lock",),
        ),
        settings=resolve({"timeout": timedelta(minutes=3), "depends_on": (TaskId("task-b"),)}),
        executor=ExecutorKind.CLAUDE,
        agent=AgentSetup(
            cli_path=Path("/bin/claude"),
            config_dir=Path("/home/u/.claude"),
            account="subscription",
            setting_sources=("user",),
            accepted_settings={".mcp.json": "hash"},
            allow_only=True,
            scrub_env=True,
            hide_login=False,
            prompts_dir=Path("/p"),
        ),
        meter=Meter(1.5, 0.5),
        steps={1: "seal"},
    )

    assert decode(Order, encode(order)) == order
