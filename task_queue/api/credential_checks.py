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
        self._running: dict[_CheckKey, asyncio.Future[bool]] = {}
        self._next: dict[_CheckKey, asyncio.Future[bool]] = {}
        """Those that have not begun."""

    async def is_good(self, installation: Installation, caller: Caller) -> bool:
        """As it was at most a second ago. Raises TaskQueueError, OSError."""
        now = asyncio.get_running_loop().time()
        self._made = {key: each for key, each in self._made.items() if now - each[0] < _COUNTS_FOR_S}
        key = _key_of(caller)
        if key not in self._made:
            check = asyncio.ensure_future(run_in_threadpool(is_still_good, installation, caller))
            self._made[key] = now, check
        return await asyncio.shield(self._made[key][1])

    async def is_good_from_now(self, installation: Installation, caller: Caller) -> bool:
        """By a look that begins after this is asked. Raises TaskQueueError, OSError."""
        key = _key_of(caller)
        if key not in self._next:
            self._next[key] = asyncio.ensure_future(self._check_next(key, installation, caller))
        return await asyncio.shield(self._next[key])

    async def _check_next(self, key: _CheckKey, installation: Installation, caller: Caller) -> bool:
        """Once the look that is under way has ended: many streams that have news at once need one more only."""
        if key in self._running:
            await asyncio.wait([self._running[key]])
        self._running[key] = self._next.pop(key)
        try:
            return await run_in_threadpool(is_still_good, installation.again(), caller)
        finally:
            del self._running[key]


def _key_of(caller: Caller) -> _CheckKey:
    return caller.name, caller.credential, caller.good_until
