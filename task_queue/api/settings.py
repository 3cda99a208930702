"""What all requests of one process share."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from anyio import CapacityLimiter

from task_queue.api.credential_checks import CredentialChecks
from task_queue.api.folder_watch import FolderWatch
from task_queue.app.claiming import WorkerDesk
from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments
from task_queue.config.api_settings import ApiSettings
from task_queue.domain.throttle import EventTokens, Failures

_PROVIDER_THREADS = 4
PEER = "task_queue.peer_uid"
"""In the scope of a request over the unix socket: the user of the process at its other end."""


@dataclass(slots=True)
class ServedApi:
    """``ends`` is set once the process is to end: streams end then."""

    installation: Installation
    settings: ApiSettings
    ends: asyncio.Event
    desk: WorkerDesk
    failures: Failures = field(default_factory=Failures)
    event_tokens: EventTokens = field(default_factory=EventTokens)
    kept: KeptDocuments = field(default_factory=KeptDocuments)
    provider_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_PROVIDER_THREADS))
    streams: Counter[str] = field(default_factory=Counter[str])
    """How many are open, by the name of who reads them."""
    folder_watch: FolderWatch = field(default_factory=FolderWatch)
    """For streams that wait for what follows."""
    credentials: CredentialChecks = field(default_factory=CredentialChecks)
    _change: asyncio.Future[None] | None = None

    def change(self) -> asyncio.Future[None]:
        """Done once another claim may be possible."""
        if self._change is None:
            self._change = asyncio.get_running_loop().create_future()
        return self._change

    def note_change(self) -> None:
        """In the loop's own thread."""
        change, self._change = self._change, None
        if change is not None and not change.done():
            change.set_result(None)
