"""What was submitted under an idempotency key: a file for each, written before the task is handed in.

So after a kill between any two steps, the same key leads to the same task, and never to a second one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from task_queue.domain.errors import TaskQueueError
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.json_files import json_object, text_in, time_in
from task_queue.platform.lockfile import locked

KEPT_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class KeptSubmission:
    task_id: TaskId
    source: str
    fingerprint: str
    """Of everything that was asked for."""
    at: datetime
    accepted: bool = False
    """The task was handed in; else it may have been."""


class Submissions:
    """Of all callers. Every method may be called from any thread and process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def held(self) -> Generator[None]:
        """Within, no other process looks up or notes a submission. Raises OSError."""
        durable.make_directory(self._folder)
        with locked(self._folder / "lock"):
            yield

    def under(self, key: str) -> KeptSubmission | None:
        """Raises TaskQueueError if what is kept cannot be read: to forget it could make a second task."""
        path = self._file(key)
        content = json_object(path)
        if content is None:
            return None
        at = time_in(content, "at") if isinstance(content, dict) else None
        if isinstance(content, str) or at is None:
            raise TaskQueueError(
                f"{path} cannot be understood", hint="move it away, if the task is not there"
            )
        return KeptSubmission(
            TaskId(text_in(content, "task_id") or ""),
            text_in(content, "source") or "",
            text_in(content, "fingerprint") or "",
            at,
            content.get("accepted") is True,
        )

    def keep(self, key: str, submission: KeptSubmission) -> None:
        """In place of what was kept under *key*. Raises OSError."""
        content = {
            "schema_version": 1,
            "task_id": submission.task_id,
            "source": submission.source,
            "fingerprint": submission.fingerprint,
            "at": submission.at.isoformat(),
            "accepted": submission.accepted,
        }
        durable.replace(self._file(key), json.dumps(content).encode() + b"\n")

    def forget_old(self, now: datetime) -> None:
        """Those that were kept for longer than ``KEPT_FOR``. Raises OSError."""
        with self.held():
            for path in self._folder.glob("*.json"):
                content = json_object(path)
                at = time_in(content, "at") if isinstance(content, dict) else None
                if at is not None and now - at > KEPT_FOR:
                    path.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._folder / f"{digest_of(key)}.json"


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
