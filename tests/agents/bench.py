"""One attempt through the real SDK and the real CLI, against a scripted model."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from task_queue.agents.claude.session import ClaudeExecutor
from task_queue.demo.scripted_model import Script, ScriptedModel, child_environment
from task_queue.domain.document.naming import copy_of
from task_queue.domain.document.settings import Settings
from task_queue.domain.model import Outcome, Work
from task_queue.domain.work.worktrees import Keep
from task_queue.ports.attempt_log import LogAddress
from task_queue.ports.executor import ExecutorKind, GitSetup, Order, Stop
from tests.claims import a_claim
from tests.processes import environments
from tests.waiting import eventually


@dataclass
class ListTranscript:
    """A transcript in memory."""

    lines: list[tuple[str, Any]] = field(default_factory=list)

    def write(self, direction: str, raw: Mapping[str, Any] | str) -> None:
        self.lines.append((direction, raw))


@dataclass
class Bench:
    """A scratch queue and workspace; ``order`` is what the executor gets."""

    root: Path
    model: ScriptedModel
    executor: ClaudeExecutor = field(default_factory=ClaudeExecutor)
    transcript: ListTranscript = field(default_factory=ListTranscript)

    def __post_init__(self) -> None:
        self.workspace = self.root / "workspace"
        self.queue = self.root / "tasks" / "adhoc"
        attempt_dir = self.queue / "logs" / "task-a" / "attempt-1"
        for folder in (self.workspace, attempt_dir, self.queue / "pending", self.root / "home"):
            folder.mkdir(parents=True, exist_ok=True)
        document = attempt_dir / "task.md"
        document.write_text("# A task\n\nDo it.\n")
        claim = a_claim(started_at=datetime.now(UTC), session_id=str(uuid.uuid4()))
        self.order = Order(
            claim=claim,
            source="adhoc",
            title="A task",
            body="Do it.",
            document=document,
            agent_copy=self.root / "documents" / "adhoc" / copy_of(claim.task_id, source="adhoc"),
            scratch=attempt_dir,
            temporary=self.root / "tmp",
            log=LogAddress("folder", str(self.queue / "pending")),
            queue_dirs=(self.queue,),
            workspace=self.workspace,
            git=GitSetup(worktrees=self.root / "worktrees", keep=Keep(5)),
            settings=Settings(),
            executor=ExecutorKind.CLAUDE,
            env=child_environment(self.root / "home", self.model),
        )

    def given(self, **settings: Any) -> None:
        self.order = replace(self.order, settings=replace(self.order.settings, **settings))

    def set_up(self, **agent: Any) -> None:
        """How the agent is set up, where that is not the default."""
        self.order = replace(self.order, agent=replace(self.order.agent, **agent))

    def resuming(self, how: str) -> None:
        """The next attempt continues this one's session."""
        self.order = replace(
            self.order, claim=replace(self.order.claim, attempt=2, resumes=True), interruption=how
        )
        self.executor = ClaudeExecutor()

    def run(self) -> tuple[Outcome, Work]:
        return self.executor.execute(self.order, self.transcript)

    def run_and(self, act: Callable[[], object], *, when: Callable[[], object]) -> tuple[Outcome, Work]:
        """Run, and do *act* as soon as *when* holds."""
        actor = threading.Thread(target=lambda: (eventually(when), act()), daemon=True)
        actor.start()
        ended = self.run()
        actor.join()
        return ended

    def stop(self, how: Stop) -> Callable[[], None]:
        return lambda: self.executor.stop(how)

    def processes(self) -> list[int]:
        """Every process that carries the attempt's marker."""
        marker = f"TASK_QUEUE_ATTEMPT={self.order.marker}".encode()
        return [pid for pid, lines in environments() if marker in lines]


MakeBench = Callable[[Script], Bench]
