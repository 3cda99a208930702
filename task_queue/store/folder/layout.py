"""Where everything of one source is: the only module that spells the names of its folders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from task_queue.domain.document import naming
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.durable import make_directory

if TYPE_CHECKING:
    from task_queue.domain.model import Claim  # its many classes cost reading commands 7 ms

SNAPSHOT = "task.md"
"""What ran, in the attempt's folder."""
PAST_ENDS = ".ended.jsonl"
"""In the folder of results."""
ARTIFACTS = "artifacts"
"""In a task's folder of logs."""
RUN = "run.json"
"""Who carries it out, in the same folder."""


@dataclass(frozen=True)
class Layout:
    """``pending`` is what the configuration names; everything else is beside it. Each folder's path is made once."""

    pending: Path

    @cached_property
    def root(self) -> Path:
        return self.pending.parent

    @cached_property
    def staging(self) -> Path:
        return self.root / "staging"

    @cached_property
    def moving(self) -> Path:
        """Tasks on their way into a fleet or out of one; there once one was moved."""
        return self.root / "moving"

    @cached_property
    def results(self) -> Path:
        return self.root / "results"

    @cached_property
    def needing(self) -> Path:
        """A file without content, an empty JSON object, for each result that may need a person."""
        return self.results / ".attention"

    @cached_property
    def acknowledged(self) -> Path:
        return self.results / ".acknowledged"

    @cached_property
    def past_ends(self) -> Path:
        """What is known of ended tasks whose files were removed; there once one was."""
        return self.results / PAST_ENDS

    @cached_property
    def reports(self) -> Path:
        return self.root / "reports"

    @cached_property
    def logs(self) -> Path:
        return self.root / "logs"

    @cached_property
    def planning(self) -> Path:
        """For a person's planning documents; nothing here reads it."""
        return self.root / "planning"

    @cached_property
    def schedules(self) -> Path:
        """Recurring tasks; a source need not have it."""
        return self.root / "schedules"

    @cached_property
    def guard(self) -> Path:
        """Locked by the daemon that serves the source, so that two configurations cannot serve one folder."""
        return self.root / ".task-queue.lock"

    def ended(self, state: TaskState) -> Path:
        """``completed/`` or ``failed/``."""
        return self.root / state.value

    def result(self, task_id: TaskId) -> Path:
        return self.results / naming.result_of(task_id)

    def needs(self, task_id: TaskId) -> Path:
        """There while the result may need a person: an index for readers; the result decides."""
        return self.needing / naming.result_of(task_id)

    def acknowledgement(self, task_id: TaskId) -> Path:
        """There once a person has seen the result; says which one, and what of it."""
        return self.acknowledged / naming.result_of(task_id)

    def report(self, task_id: TaskId) -> Path:
        return self.reports / naming.report_of(task_id)

    def log(self, task_id: TaskId) -> Path:
        return self.logs / naming.key_of(task_id)

    def artifacts(self, task_id: TaskId) -> Path:
        """Files that were handed in; a task need not have it."""
        return self.log(task_id) / ARTIFACTS

    def progress(self, task_id: TaskId) -> Path:
        """How far who works on it elsewhere has said to be."""
        return self.log(task_id) / "progress.json"

    def attempt(self, task_id: TaskId, number: int) -> Path:
        return self.log(task_id) / f"attempt-{number}"

    def attempt_of(self, claim: Claim) -> Path:
        return self.attempt(claim.task_id, claim.attempt)

    def document(self, claim: Claim) -> Path:
        return self.pending / claim.document

    def lock(self, document: str) -> Path:
        return self.pending / naming.lock_of(document)

    def journal(self, document: str) -> Path:
        return self.pending / naming.journal_of(document)

    def cancel(self, document: str) -> Path:
        return self.pending / naming.cancel_of(document)

    def folders(self) -> tuple[Path, ...]:
        ended = (self.ended(TaskState.COMPLETED), self.ended(TaskState.FAILED))
        return (self.staging, self.pending, *ended, self.results, self.reports, self.logs)

    def create(self) -> None:
        """Make what is missing; ``pending`` itself included. Idempotent."""
        for folder in self.folders():
            make_directory(folder)
