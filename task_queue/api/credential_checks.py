"""Whether the credentials of streams are still good: asked once for all streams of a credential."""

from __future__ import annotations

import asyncio
from datetime import datetime

from starlette.concurrency import run_in_threadpool

from task_queue.app.installation import Installation
from task_queue.app.tokens import is_still_good
from task_queue.domain.policy import Caller

_COUNTS_FOR_S = 1.0
_CheckKey = tuple[str, str, datetime | None]


class CredentialChecks:
    """For one event loop."""

    def __init__(self) -> None:
        self._made: dict[_CheckKey, tuple[float, asyncio.Future[bool]]] = {}

    async def is_good(self, installation: Installation, caller: Caller) -> bool:
        """As it was at most a second ago. Raises TaskQueueError, OSError."""
        now = asyncio.get_running_loop().time()
        self._made = {key: each for key, each in self._made.items() if now - each[0] < _COUNTS_FOR_S}
        key = caller.name, caller.credential, caller.good_until
        if key not in self._made:
            check = asyncio.ensure_future(run_in_threadpool(is_still_good, installation, caller))
            self._made[key] = now, check
        return await asyncio.shield(self._made[key][1])
