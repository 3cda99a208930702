"""A session of the CLI that is connected and not asked anything yet, in a thread of its own.

The CLI ends with the thread that started it, so that thread lives as long as the session. Until the prompt nothing of
it counts: no frame is in the transcript, no time-out but that of its age runs, and no model was asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from task_queue.agents.claude.options import SessionRequest, launch_of, options_for, rules_in_force
from task_queue.platform.identity import ProcessIdentity, identity_of, is_alive
from task_queue.ports.executor import Order

if TYPE_CHECKING:
    from task_queue.agents.claude.session import SessionResult

_ANSWERED_HERE = frozenset({"stderr", "hooks", "mcp_servers"})
"""Options that are functions of this process; what decides their answers is in the key by itself."""
_END_S = 60.0
"""Within that an unasked session has gone; each of its own steps is bounded more closely."""


def key_of(order: Order, request: SessionRequest) -> str:
    """A hash of all that is fixed when the CLI of this session is started; ExecutorError where there is no CLI.

    Of sessions without MCP servers of the project or the user, which could be other ones at each start.
    """
    options = options_for(order, request, stderr=lambda _: None, servers={})
    launch = launch_of(order)
    fixed = {each.name: getattr(options, each.name) for each in fields(options)}
    fixed = {name: value for name, value in fixed.items() if name not in _ANSWERED_HERE}
    listed = request.bench.listed if request.bench else None
    decides = [fixed, launch.words, launch.handed_over, rules_in_force(order, request, {}), listed]
    return hashlib.sha256(json.dumps(decides, default=str, sort_keys=True).encode()).hexdigest()


class AwaitedPrompt:
    """Where a connected session waits for its prompt: between its own thread and that of the attempt."""

    def __init__(self) -> None:
        self._given: Future[tuple[str, float] | None] = Future()
        self._settled = threading.Event()
        self.process: ProcessIdentity | None = None
        """Of the CLI, once it is connected."""
        self.is_dropped = False
        self.wake: Callable[[], object] = lambda: None

    async def prompt(self, pid: int) -> tuple[str, float] | None:
        """The prompt and the seconds that its answer may take; None where there will be none."""
        self.process = identity_of(pid)
        self._settled.set()
        return await asyncio.wrap_future(self._given)

    def is_connected(self) -> bool:
        """Waits until it is known."""
        self._settled.wait()
        return self.process is not None

    def end(self) -> None:
        """The session is over, whether it was connected or not."""
        self._settled.set()

    def give(self, prompt: str, within_s: float) -> None:
        self._given.set_result((prompt, within_s))

    def drop(self) -> None:
        if not self._given.done():
            self.is_dropped = True
            self._given.set_result(None)
            with suppress(RuntimeError):  # its loop is over already
                self.wake()


class ConnectedAhead:
    """From its start on it is asked once, by ``ask``, or given up, by ``drop``."""

    def __init__(
        self,
        key: str,
        session_id: str,
        held: AwaitedPrompt,
        hold: Callable[[], Coroutine[Any, Any, SessionResult]],
    ) -> None:
        self.session_id = session_id
        self._key = key
        self._held = held
        self._result: Future[SessionResult] = Future()
        self._thread = threading.Thread(target=self._run, args=(hold,), name="connected ahead", daemon=True)
        self._thread.start()

    def process(self) -> ProcessIdentity | None:
        """Its CLI, once it is connected; None where it could not be."""
        return self._held.process if self._held.is_connected() else None

    def fits(self, order: Order, request: SessionRequest) -> bool:
        """Whether it is what would be started for *order* and *request* now, and still there."""
        process = self.process()
        return process is not None and is_alive(process) and key_of(order, request) == self._key

    def ask(self, prompt: str, *, within_s: float) -> SessionResult:
        """Give it *prompt*, and wait for the end of its conversation. Raises what the conversation does."""
        self._held.give(prompt, within_s)
        return self._result.result()

    def drop(self) -> None:
        """End it, unless it was asked; no process of it is left."""
        self._held.drop()
        self._thread.join(_END_S)

    def _run(self, hold: Callable[[], Coroutine[Any, Any, SessionResult]]) -> None:
        try:
            self._result.set_result(asyncio.run(hold()))
        except BaseException as error:  # noqa: BLE001 - raised where the result is waited for
            self._result.set_exception(error)
        finally:
            self._held.end()
