"""Keeps the lease of one claim, from a thread that the work cannot starve."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from task_queue.app.claiming import Directive
from task_queue.client import ApiError, Client
from task_queue.domain.errors import TaskQueueError
from task_queue.worker.settings import Tell

LOST = frozenset({"fenced", "expired", "not_owner", "claim_not_found"})
"""Codes that say that the claim is not ours any more."""
_OFTEN_S = 10.0


@dataclass(frozen=True, slots=True)
class WorkProgress:
    """What is said with each sign of life."""

    values: Mapping[str, object] = field(default_factory=dict[str, object])
    last_frame_at: datetime | None = None


class LeaseKeeper:
    """``lost``: the server does not count the claim any more. ``cancelled``: a person wants the task's end."""

    def __init__(self, client: Client, claim_id: str, epoch: int, *, lease_s: float, tell: Tell) -> None:
        self._client, self._id, self._epoch, self._tell = client, claim_id, epoch, tell
        self._every_s = min(lease_s / 3, _OFTEN_S)
        self.lost = threading.Event()
        self.cancelled = threading.Event()
        self._ends = threading.Event()
        self._unheard = False
        self.progress: Callable[[], WorkProgress] = WorkProgress
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self.lost.is_set():
            self._say()
            if self._ends.wait(self._every_s):
                return

    def _say(self) -> None:
        told: dict[str, Any] = {}
        try:
            now = self.progress()
            told = {"progress": dict(now.values), "last_frame_at": now.last_frame_at}
            pulse = self._client.heartbeat(self._id, self._epoch, **told)
        except ApiError as error:
            if error.code in LOST:
                self._tell(f"the server does not count the claim any more: {error}")
                self.lost.set()
            else:
                self._note_unheard(error)
            return
        except (TaskQueueError, OSError) as error:
            self._note_unheard(error)
            return
        if self._unheard:
            self._unheard = False
            self._tell("the server hears us again")
        if pulse.directive is Directive.CANCEL and not self.cancelled.is_set():
            self._tell("the server wants the task to be cancelled")
            self.cancelled.set()

    def _note_unheard(self, error: Exception) -> None:
        if not self._unheard:
            self._unheard = True
            self._tell(f"the server does not hear us; the work goes on: {error}")
