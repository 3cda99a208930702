"""Carries out an attempt with Claude through the Agent SDK. Imported by the runner only: the SDK is heavy.

One conversation is one session of the CLI. It runs as a task of its own and is never cancelled: code that wants
it to end makes the CLI end, and the conversation follows (a second cancel during the SDK's teardown would
leak the CLI). Every wait is bounded.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeSDKClient, ClaudeSDKError
from claude_agent_sdk._errors import (
    MessageParseError,  # pyright: ignore[reportPrivateUsage]  # not exported, and must not be fatal
)

from task_queue.agents.claude.ahead import AwaitedPrompt, ConnectedAhead, key_of
from task_queue.agents.claude.options import (
    SessionRequest,
    close_records,
    environment_of,
    launch_of,
    options_for,
    prompt_for,
    publish_copy,
    rules_in_force,
    session_lost_prompt,
)
from task_queue.agents.claude.recording import RecordingTransport
from task_queue.agents.claude.watch import Timers, Watch
from task_queue.agents.mcp_servers import LoadedServers, servers_for
from task_queue.domain.attempt.progress import Progress
from task_queue.domain.attempt.rebuild import SESSION_LOST
from task_queue.domain.attempt.spending import Meter, renewed
from task_queue.domain.attempt.verdict import Observation, Timer, is_hopeless, judge
from task_queue.domain.document.choices import Profile
from task_queue.domain.errors import ExecutorError
from task_queue.domain.model import Outcome, OutcomeKind, Work
from task_queue.domain.permission.mcp_servers import not_started
from task_queue.domain.permission.profiles import note_of
from task_queue.platform.identity import is_held_still
from task_queue.ports.executor import Order, Stop, Transcript

_SDK_CONNECT_TIMEOUT = "CLAUDE_CODE_STREAM_CLOSE_TIMEOUT"
"""Milliseconds; the SDK reads it from its own environment when it connects (0.2.189)."""
_CLOUD_SWITCHES = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")
CONNECTED_AHEAD = "the auditor was connected while the verification ran"
_TASK_OWN_PROFILES = {Profile.SANDBOXED, Profile.BYPASS}


@dataclass(frozen=True, slots=True)
class StopTimeouts:
    """Seconds that each step towards the CLI's end may take."""

    interrupt_s: float = 20.0
    terminate_s: float = 10.0
    kill_s: float = 10.0
    disconnect_s: float = 25.0


@dataclass(frozen=True, slots=True)
class SessionResult:
    """How a conversation ended, what it took, and the structured answer if one was wanted."""

    outcome: Outcome
    work: Work
    structure: object = None
    notes: tuple[str, ...] = ()
    """What the agent worked without."""


class ClaudeExecutor:
    """Executor for ``claude``. The wall clock and the idle time come from the task's settings."""

    def __init__(self, *, timers: Timers | None = None, patience: StopTimeouts | None = None) -> None:
        self._timers = timers or Timers()
        self._patience = patience or StopTimeouts()
        self._asked: Stop | None = None
        self._wake: Callable[[], object] = _asleep

    def stop(self, how: Stop) -> None:
        """Ask the running attempt to end; a cancel overrides a suspend, never the other way round."""
        if self._asked is not Stop.CANCEL:
            self._asked = how
        self._wake()

    def execute(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]:
        result = self.run_session(order, transcript, SessionRequest(resume=order.claim.resumes))
        return result.outcome, result.work

    def run_session(self, order: Order, transcript: Transcript, request: SessionRequest) -> SessionResult:
        """Hold one conversation in the session that *order* names, and judge its end."""
        if (spent := _spent(order)) is not None:
            work = Work(
                session_id=order.claim.session_id,
                session_cost_usd=order.meter.reported,
                session_estimated_usd=order.meter.estimated,
                session_model_usage=dict(order.meter.models),
            )
            return SessionResult(spent, work)
        return asyncio.run(self._continue_or_restart(order, transcript, request))

    def connect_ahead(
        self, order: Order, transcript: Transcript, request: SessionRequest
    ) -> ConnectedAhead | None:
        """Connect the session that *order* names while its prompt is not known; None where it could not be asked."""
        if _spent(order) is not None:
            return None
        held = AwaitedPrompt()
        return ConnectedAhead(
            key_of(order, request),
            order.claim.session_id,
            held,
            lambda: self._run_once(order, transcript, request, held=held),
        )

    async def _continue_or_restart(
        self, order: Order, transcript: Transcript, request: SessionRequest
    ) -> SessionResult:
        result = await self._run_once(order, transcript, request)
        if result.outcome.lost_session and request.resume and self._asked is None:
            why = "the session cannot be continued: started again under the same id"
            transcript.write("note", {"type": SESSION_LOST, "text": why})
            fresh = replace(order, meter=Meter())
            lost = replace(
                request,
                resume=False,
                prompt=None if request.prompt is None else session_lost_prompt(order, request.prompt),
            )
            result = await self._run_once(fresh, transcript, lost, session_lost=True)
        return result

    async def _run_once(
        self,
        order: Order,
        transcript: Transcript,
        request: SessionRequest,
        *,
        session_lost: bool = False,
        held: AwaitedPrompt | None = None,
    ) -> SessionResult:
        session = _CliSession(
            order, transcript, request, timers=self._timers, patience=self._patience, held=held
        )
        self._wake = session.wake
        try:
            seen = await session.run(
                asked=lambda: self._asked or (Stop.SUSPEND if held and held.is_dropped else None),
                prompt=request.prompt or prompt_for(order, resumes=request.resume, session_lost=session_lost),
            )
        finally:
            self._wake = _asleep
        outcome = _with_renewal(order, judge(seen))
        if seen.refused_to_start and not outcome.lost_session and seen.stop is None:
            _refuse(order, outcome)
        progress = session.watch.progress
        work = progress.work(session_id=order.claim.session_id, before=order.meter)
        structure: object = (progress.result or {}).get("structured_output")
        work = replace(work, billed_to=_will_pay(progress, order.env))
        return SessionResult(outcome, work, structure, session.notes)


class _CliSession:
    """One session of the CLI, from its start to its end."""

    def __init__(
        self,
        order: Order,
        transcript: Transcript,
        request: SessionRequest,
        *,
        timers: Timers,
        patience: StopTimeouts,
        held: AwaitedPrompt | None = None,
    ) -> None:
        self._order = order
        self._held = held
        self._unwritten: list[tuple[str, dict[str, Any] | str]] | None = None if held is None else []
        """What there was before the prompt, of a session that waits for it."""
        self._request = request
        self._transcript = transcript
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._client: ClaudeSDKClient
        self._transport: RecordingTransport
        self._exception: str | None = None
        self._servers = LoadedServers({}) if request.audits else servers_for(order)
        self.watch = Watch(
            timers=replace(
                timers,
                tool_s=max(timers.tool_s, request.bench.longest_s if request.bench else 0.0),
                idle_s=order.settings.idle_timeout.total_seconds(),
                wall_clock_s=order.settings.timeout.total_seconds(),
            ),
            started_at=time.monotonic(),
        )
        if held is not None:
            held.wake = self.wake

    @property
    def notes(self) -> tuple[str, ...]:
        """What it was to load, and did not."""
        started = self.watch.progress.mcp_servers if self.watch.progress.turns else None
        missing = () if started is None else not_started(self._servers.servers, started)
        return (*self._servers.notes, *missing)

    def wake(self) -> None:
        """Look again at what was asked; may be called from a signal handler."""
        self._loop.call_soon_threadsafe(self._changed.set)

    async def run(self, *, asked: Callable[[], Stop | None], prompt: str) -> Observation:
        close_records(environment_of(self._order))
        publish_copy(self._order)
        options = options_for(
            self._order, self._request, stderr=self._saw_stderr, servers=self._servers.servers
        )
        self._transport = RecordingTransport(options, launch_of(self._order), self._saw)
        self._client = ClaudeSDKClient(options, transport=self._transport)
        try:
            timer = None if asked() else await self._run_conversation(prompt, asked)
        finally:
            self._order.agent_copy.unlink(missing_ok=True)
            if isinstance(options.mcp_servers, Path):
                options.mcp_servers.unlink(missing_ok=True)
        stop = asked()
        seen = self.watch.progress.observation(
            session_id=self._order.claim.session_id,
            exit_code=self._exit_code(),
            exception=self._exception,
            timer=timer,
            stop=None if stop is None else stop.value,
            wrong_account=self._wrong_account(),
            asked_model=self._order.settings.model,
        )
        return replace(seen, wants_structure=self._request.schema is not None)

    async def _run_conversation(self, prompt: str, asked: Callable[[], Stop | None]) -> Timer | None:
        running = asyncio.create_task(self._converse(prompt))
        running.add_done_callback(lambda _: self._changed.set())
        timer = await self._supervise(running, asked)
        if self._held is not None:
            self._held.drop()
        if self._request.bench is not None and not (self._held and self._held.is_dropped):
            self._request.bench.stop()  # its thread would keep this process from its end
        if not running.done() and self.watch.progress.result is None:
            await self._end(running, gently=asked() is Stop.CANCEL)
        await _settled(running, self._patience.disconnect_s)
        if not running.done():
            self._signal("kill")
            await _settled(running, self._patience.kill_s)
        return timer

    async def _converse(self, prompt: str) -> None:
        """Connect, send the prompt, drain the SDK's stream up to our result, disconnect."""
        # The SDK would give up connecting after 60 s: the time-outs of the watch decide, also while a hook runs.
        os.environ[_SDK_CONNECT_TIMEOUT] = str(int(self.watch.timers.wall_clock_s * 1000))
        try:
            await self._client.connect()
            if self._held is not None:
                given = await self._prompt_of(self._held)
                if given is None:
                    return
                prompt = given
            self._note_rules()
            await self._client.query(self._message(prompt))
            self.watch.prompted(time.monotonic())
            self._changed.set()
            await self._drain()
        except ClaudeSDKError as error:
            self._exception = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - the SDK raises bare Exceptions for failed control requests
            self._exception = f"{type(error).__name__}: {error}"
        finally:
            with suppress(Exception):
                await self._client.disconnect()

    async def _prompt_of(self, held: AwaitedPrompt) -> str | None:
        """Wait for it, however long that takes; from then on everything counts. None: the session is not wanted."""
        self.watch.connected_ahead(time.monotonic())
        self._changed.set()
        given = await held.prompt(self._transport.process.pid)
        if given is None:
            self._signal("kill")  # it has nothing to keep
            return None
        prompt, within_s = given
        self.watch.begin(time.monotonic(), wall_clock_s=within_s)
        unwritten, self._unwritten = self._unwritten or [], None
        self._transcript.write("note", CONNECTED_AHEAD)
        for direction, frame in unwritten:
            self._transcript.write(direction, frame)
        return prompt

    def _note_rules(self) -> None:
        note = note_of(rules_in_force(self._order, self._request, self._servers.servers))
        self._transcript.write("note", note)
        self.watch.progress.add("note", note)

    async def _drain(self) -> None:
        # Frames are read where the transport sees them; here they are only taken off the SDK's queue.
        while self.watch.progress.result is None:
            try:
                async for _ in self._client.receive_messages():
                    if self.watch.progress.result is not None:
                        return
            except MessageParseError as error:
                self._transcript.write("note", f"the SDK could not read a message: {error}")
            else:
                return

    async def _message(self, prompt: str) -> AsyncIterator[dict[str, Any]]:
        yield {
            "type": "user",
            "message": {"role": "user", "content": prompt},
            "parent_tool_use_id": None,
            "uuid": str(uuid.uuid4()),
        }

    async def _supervise(self, running: asyncio.Task[None], asked: Callable[[], Stop | None]) -> Timer | None:
        """Wait until the conversation ends or must be ended; the time-out that said so, if one did."""
        while not running.done() and self.watch.progress.result is None and asked() is None:
            now = time.monotonic()
            if (timer := self.watch.overdue(now)) is not None:
                return timer
            if is_hopeless(self.watch.progress.observation(wrong_account=self._wrong_account())):
                return None
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self.watch.next_deadline() - now)
        return None

    async def _end(self, running: asyncio.Task[None], *, gently: bool) -> None:
        """Make the CLI end. A SIGTERM leaves the turn resumable, an interrupt ends the turn for good."""
        if gently and self.watch.progress.connected and not self._is_held_still():
            interrupt = asyncio.create_task(self._interrupt())
            await _settled(running, self._patience.interrupt_s)
            interrupt.cancel()
        spawned = asyncio.create_task(self._transport.spawned.wait())
        await asyncio.wait(
            {running, spawned}, timeout=self._patience.kill_s, return_when=asyncio.FIRST_COMPLETED
        )
        spawned.cancel()
        for how, seconds in (("terminate", self._patience.terminate_s), ("kill", self._patience.kill_s)):
            if not running.done() and not (how == "terminate" and self._is_held_still()):
                self._signal(how)
                await _settled(running, seconds)

    async def _interrupt(self) -> None:
        with suppress(Exception):  # it may find the CLI gone, or never be answered: the next step follows
            await self._client.interrupt()

    def _is_held_still(self) -> bool:
        """Whether the CLI can act on a KILL only."""
        process = self._transport.process
        return process is not None and process.returncode is None and is_held_still(process.pid)

    def _signal(self, how: str) -> None:
        process = self._transport.process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                getattr(process, how)()

    def _wrong_account(self) -> str | None:
        expected = self._order.agent.account
        payer = _will_pay(self.watch.progress, self._order.env)
        return payer if payer is not None and expected not in {"any", payer} else None

    def _exit_code(self) -> int | None:
        process = self._transport.process
        return None if process is None else process.returncode

    def _write(self, direction: str, frame: dict[str, Any] | str) -> None:
        if self._unwritten is None:
            self._transcript.write(direction, frame)
        else:
            self._unwritten.append((direction, frame))

    def _saw(self, direction: str, frame: dict[str, Any]) -> None:
        self._write(direction, frame)
        if direction == "in":
            self.watch.heard(frame, time.monotonic())
            self._changed.set()
        else:
            self.watch.progress.add(direction, frame)

    def _saw_stderr(self, line: str) -> None:
        self.watch.progress.add("err", line)
        self._write("err", line)


def _spent(order: Order) -> Outcome | None:
    """The outcome of an order that leaves nothing to spend; the CLI takes 0 for "no limit"."""
    if order.allowance_usd is not None and order.allowance_usd <= 0:
        return _with_renewal(order, Outcome(OutcomeKind.BUDGET, "the budget is spent"))
    cap = order.settings.max_budget_usd
    if cap is not None and order.spent_usd >= cap:
        evidence = (f"spent {order.spent_usd:.2f} USD of {cap:.2f}",)
        return Outcome(OutcomeKind.BUDGET, "the budget is spent", evidence)
    if order.turns_used >= order.settings.max_turns:
        evidence = (f"used {order.turns_used} turns of {order.settings.max_turns}",)
        return Outcome(OutcomeKind.MAX_TURNS, "the turns allowed are used up", evidence)
    return None


def _with_renewal(order: Order, outcome: Outcome) -> Outcome:
    cap = order.settings.max_budget_usd
    own = None if cap is None else cap - order.spent_usd
    return renewed(outcome, own_left_usd=own, allowance_usd=order.allowance_usd, now=datetime.now(UTC))


def _refuse(order: Order, outcome: Outcome) -> None:
    """An agent that refuses its set-up is not the task's fault, unless the task chose that set-up."""
    if order.settings.permissions not in _TASK_OWN_PROFILES and not order.settings.model:
        raise ExecutorError(
            f"the agent refused to start: {'; '.join(outcome.evidence)}",
            hint="task-queue doctor says what is missing",
        )


def _will_pay(progress: Progress, env: Mapping[str, str]) -> str | None:
    """Who is billed; None while the CLI has not said so."""
    if any(env.get(name) for name in _CLOUD_SWITCHES):
        return "cloud"
    return progress.billed_to


async def _settled(task: asyncio.Task[None], seconds: float) -> None:
    """Wait until *task* is done, at most *seconds*; never cancels it."""
    await asyncio.wait({task}, timeout=seconds)


def _asleep() -> None:
    """Nothing runs that could be woken."""
