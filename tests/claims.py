"""Claims and owners for tests that need one and do not care which."""

from __future__ import annotations

from datetime import UTC, datetime

from task_queue.domain.model import Claim, Owner
from task_queue.domain.task import TaskId

OWNER = Owner("test", "a test")


def a_claim(
    task_id: str = "task-a",
    *,
    started_at: datetime = datetime(2026, 2, 7, 12, tzinfo=UTC),
    attempt: int = 1,
    session_id: str = "s",
    resumes: bool = False,
    document: str | None = None,
) -> Claim:
    return Claim(
        task_id=TaskId(task_id),
        worker="w",
        started_at=started_at,
        attempt=attempt,
        session_id=session_id,
        resumes=resumes,
        owner=OWNER,
        document=document or f"{task_id}.md",
    )
