"""What a session's raw frames add up to: for those who watch, for the verdict, and for recovery.

The executor feeds it live, views and recovery feed it from the transcript: one reading of the frames for all.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from task_queue.domain.attempt.model_usage import grown
from task_queue.domain.attempt.prices import estimated_usd
from task_queue.domain.attempt.spending import Meter, charge
from task_queue.domain.permission.rules import RULES_IN_FORCE

if TYPE_CHECKING:  # those who watch need none of them, and their many classes cost status 8 ms
    from task_queue.domain.attempt.verdict import Observation, Timer
    from task_queue.domain.model import Work

_MAX_KEPT_FRAMES = 20
_MAX_ARGUMENT_CHARS = 80
_DISABLED = "is disabled for this session"
"""What the CLI answers to a call of a tool that a rule removed (2.1.332)."""
_WRITING_TOOLS = {"Edit", "Write", "NotebookEdit"}
_TELLING = ("file_path", "notebook_path", "command", "pattern", "url", "query", "description", "prompt")


def _few_frames() -> deque[Mapping[str, Any]]:
    return deque(maxlen=_MAX_KEPT_FRAMES)


@dataclass(slots=True)
class ModelAnswer:
    """One answer of the model as far as it was seen; its frames come block by block."""

    model: str
    usage: Mapping[str, Any]
    """As its first frame has it: what went in is exact, what came out is not known yet."""
    written_chars: int = 0


@dataclass(slots=True)
class Progress:
    """State after the frames taken in so far."""

    result: Mapping[str, Any] | None = None
    """The result frame that answers our own prompt."""
    connected: bool = False
    """The CLI has answered at all."""
    last_tool: str | None = None
    last_argument: str = ""
    last_text: str = ""
    tools_in_flight: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Calls without a result yet, by their id."""
    hooks_in_flight: dict[str, str] = field(default_factory=dict[str, str])
    """Names of the project's hooks that run, by the id of their run."""
    files: dict[str, None] = field(default_factory=dict[str, None])
    """Files that the agent's file tools were asked to write, in order of their first time."""
    usage: dict[str, int] = field(default_factory=dict[str, int])
    """Tokens so far by kind; exact only once there is a result."""
    billed_to: str | None = None
    model: str | None = None
    mcp_servers: dict[str, str] = field(default_factory=dict[str, str])
    """Status by name, as the session began."""
    not_loaded: str | None = None
    """What the CLI said about plugins that it could not load."""
    retries: deque[Mapping[str, Any]] = field(default_factory=_few_frames)
    """``api_retry`` frames since the model's last answer."""
    limits: deque[Mapping[str, Any]] = field(default_factory=_few_frames)
    disabled: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    """Calls of tools that a rule removed; the CLI does not count them among the denials."""
    denials: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    rules_in_force: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the session's note says of them."""
    last_error: str | None = None
    stderr: deque[str] = field(default_factory=lambda: deque[str](maxlen=50))
    _message_ids: set[str] = field(default_factory=set[str])
    _answers: dict[str, ModelAnswer] = field(default_factory=dict[str, ModelAnswer])
    """By message id; those of subagents among them."""
    _prompts: set[str] = field(default_factory=set[str])

    @property
    def turns(self) -> int:
        """The model's answers so far, those of subagents left out."""
        return len(self._message_ids)

    @property
    def cost_usd(self) -> float | None:
        """The session's cumulative total; known at the result only."""
        return None if self.result is None else self.result.get("total_cost_usd")

    @property
    def answers_usd(self) -> float:
        """What the answers so far cost by list price, those of subagents included."""
        return sum(estimated_usd(a.model, a.usage, a.written_chars) for a in self._answers.values())

    @property
    def limit(self) -> Mapping[str, Any] | None:
        """The latest word on the account's usage limit: status, resetsAt, utilization."""
        return self.limits[-1].get("rate_limit_info") if self.limits else None

    @property
    def utilization(self) -> float | None:
        """Largest share of a usage window that is used up, 0 to 1, if the CLI reported one (seen with 2.1.330)."""
        info: Mapping[str, Any] = self.limit or {}
        windows: Mapping[str, Any] = info.get("unifiedWindows") or {}
        shares = [info.get("utilization"), *(_share(window) for window in windows.values())]
        return max((float(share) for share in shares if isinstance(share, int | float)), default=None)

    def add(self, direction: str, frame: Mapping[str, Any] | str) -> None:
        """Take in one envelope's content."""
        if direction == "err":
            self.stderr.append(str(frame))
        if isinstance(frame, str):
            return
        with suppress(AttributeError, TypeError, ValueError):  # of an unknown shape
            if direction == "out":
                self._sent(frame)
            elif direction == "in":
                self._received(frame)
            elif direction == "note" and frame.get("type") == RULES_IN_FORCE:
                self.rules_in_force = frame

    def observation(
        self,
        *,
        session_id: str | None = None,
        exit_code: int | None = None,
        exception: str | None = None,
        timer: Timer | None = None,
        stop: Literal["suspend", "cancel"] | None = None,
        wrong_account: str | None = None,
        asked_model: str | None = None,
    ) -> Observation:
        """What the verdict is judged by: the frames, and what the caller knows besides."""
        from task_queue.domain.attempt.verdict import Observation

        return Observation(
            result=self.result,
            retries=tuple(self.retries),
            limits=tuple(self.limits),
            denials=(*self.denials, *self.disabled),
            last_error=self.last_error,
            started=self.connected,
            session_id=session_id,
            exit_code=exit_code,
            stderr="\n".join(self.stderr),
            exception=exception,
            timer=timer,
            stop=stop,
            wrong_account=wrong_account,
            used_tools=self.last_tool is not None,
            not_loaded=self.not_loaded,
            asked_model=asked_model,
            model=self.model,
        )

    def work(self, *, session_id: str, before: Meter) -> Work:
        """What was done since the session's meter stood at *before*."""
        from task_queue.domain.model import Work

        result: Mapping[str, Any] = self.result or {}
        total: float | None = result.get("total_cost_usd")
        spent = charge(before, reported=total, answers_usd=self.answers_usd)
        models: dict[str, Any] = dict(result.get("modelUsage") or {})
        return Work(
            output=str(result.get("result") or self.last_text),
            # The CLI counts a refused request as a turn, too (2.1.332).
            num_turns=int(result.get("num_turns") or self.turns) if self.turns else 0,
            duration_api_ms=int(result.get("duration_api_ms") or 0),
            total_cost_usd=spent.usd,
            estimated_cost_usd=spent.estimated,
            cost_incomplete=total is None and self.turns > 0,
            session_id=session_id,
            usage=dict(result.get("usage") or self.usage),
            model_usage=grown(before.models, models) if models else {},
            session_model_usage=models or dict(before.models),
            permission_denials=self._explained_denials(),
            billed_to=self.billed_to,
            session_cost_usd=spent.after.reported,
            session_estimated_usd=spent.after.estimated,
            utilization=self.utilization,
        )

    def _explained_denials(self) -> tuple[dict[str, Any], ...]:
        """What was denied, by whom, and the rules that would have let it pass."""
        from task_queue.domain.permission.advice import explained
        from task_queue.domain.permission.profiles import permissions_in

        listed: list[Mapping[str, Any]] = list((self.result or {}).get("permission_denials") or ())
        if self.result is None:
            listed = list(self.denials)
        listed += self.disabled
        reasons = {
            frame.get("tool_use_id"): frame.get("decision_reason_type")
            for frame in (*self.denials, *self.disabled)
        }
        permissions = permissions_in(self.rules_in_force)
        return tuple(
            explained(
                {
                    **{key: denial.get(key) for key in ("tool_name", "tool_use_id", "tool_input")},
                    "decision_reason_type": reasons.get(denial.get("tool_use_id")),
                },
                permissions,
            )
            for denial in listed
        )

    def _sent(self, frame: Mapping[str, Any]) -> None:
        if frame.get("type") == "user":
            self._prompts.add(str(frame.get("uuid")))
            self.result = None

    def _received(self, frame: Mapping[str, Any]) -> None:
        kind, subtype = frame.get("type"), frame.get("subtype")
        if kind == "control_response":
            self.connected = True
            return
        match kind, subtype:
            case "system", "init":
                # "none" is a subscription's login; every other source is some kind of key.
                source = frame.get("apiKeySource")
                self.billed_to = "subscription" if source in {"none", "oauth"} else "api_key"
                self.model = frame.get("model")
                self.mcp_servers = {
                    str(server.get("name")): str(server.get("status"))
                    for server in frame.get("mcp_servers") or ()
                }
                if errors := [each for each in frame.get("plugin_errors") or () if _is_of_our_plugin(each)]:
                    self.not_loaded = str(errors)[: _MAX_ARGUMENT_CHARS * 4]
            case "system", "hook_started":
                self.hooks_in_flight[str(frame.get("hook_id"))] = str(frame.get("hook_name"))
            case "system", "hook_response":
                self.hooks_in_flight.pop(str(frame.get("hook_id")), None)
            case "system", "api_retry":
                self.retries.append(frame)
            case "system", "permission_denied":
                self.denials.append(frame)
            case "rate_limit_event", _:
                self.limits.append(frame)
            case "assistant", _:
                self._answered(frame)
            case "user", _:
                self._answered_tools(_blocks(frame))
            case "result", _ if self._is_ours(frame):
                self.result = frame
            case _:
                pass

    def _is_ours(self, frame: Mapping[str, Any]) -> bool:
        """A result may belong to an injected turn; ours names our prompt, or no prompt at all."""
        uuids: set[Any] = set(frame.get("user_message_uuids") or [frame.get("user_message_uuid")])
        return uuids == {None} or not uuids.isdisjoint(self._prompts)

    def _answered(self, frame: Mapping[str, Any]) -> None:
        blocks = _blocks(frame)
        for block in blocks:
            if block.get("type") == "tool_use":
                self._used_tool(block)
        message: Mapping[str, Any] = frame.get("message") or {}
        if frame.get("error") is None:
            self._count(message, blocks)
        if frame.get("parent_tool_use_id") is not None:
            return
        self.last_error = frame.get("error")
        if self.last_error is not None:
            return  # the CLI's own words about a failed request, and no turn
        self.retries.clear()
        if str(message.get("id")) not in self._message_ids:
            self._message_ids.add(str(message.get("id")))
            usage: Mapping[str, Any] = message.get("usage") or {}
            for key, value in usage.items():
                if isinstance(value, int):
                    self.usage[key] = self.usage.get(key, 0) + value
        self.last_text = (
            "\n".join(str(b["text"]) for b in blocks if b.get("type") == "text") or self.last_text
        )

    def _answered_tools(self, results: Iterable[Mapping[str, Any]]) -> None:
        for block in results:
            call = self.tools_in_flight.pop(str(block.get("tool_use_id")), None)
            if call is not None and block.get("is_error") and _DISABLED in str(block.get("content")):
                self.disabled.append(
                    {
                        "tool_name": call.get("name"),
                        "tool_use_id": call.get("id"),
                        "tool_input": call.get("input"),
                        "decision_reason_type": "disabled",
                    }
                )

    def _count(self, message: Mapping[str, Any], blocks: Iterable[Mapping[str, Any]]) -> None:
        usage: Mapping[str, Any] = message.get("usage") or {}
        first = ModelAnswer(str(message.get("model")), usage)
        answer = self._answers.setdefault(str(message.get("id")), first)
        answer.written_chars += sum(len(json.dumps(block, ensure_ascii=False)) for block in blocks)

    def _used_tool(self, block: Mapping[str, Any]) -> None:
        given: Mapping[str, Any] = block.get("input") or {}
        self.tools_in_flight[str(block.get("id"))] = block
        self.last_tool = str(block.get("name"))
        telling = telling_argument(given) or ""
        self.last_argument = _shortened(" ".join(telling.split()), is_path="file_path" in given)
        if self.last_tool in _WRITING_TOOLS:
            self.files[str(given.get("file_path") or given.get("notebook_path"))] = None


def _shortened(argument: str, *, is_path: bool) -> str:
    """The end of a path says most: a task's own working tree is deep in the file system."""
    if len(argument) <= _MAX_ARGUMENT_CHARS or not is_path:
        return argument[:_MAX_ARGUMENT_CHARS]
    return f"…{argument[1 - _MAX_ARGUMENT_CHARS :]}"


def telling_argument(tool_input: Mapping[str, Any]) -> str | None:
    """Of the arguments of a tool's call the one that says most: a path, a command; None if it has none of these."""
    return next((str(tool_input[key]) for key in _TELLING if key in tool_input), None)


def progress_of(lines: Iterable[str]) -> Progress:
    """Progress from a transcript's lines."""
    progress = Progress()
    for direction, frame, _ in envelopes_in(lines):
        progress.add(direction, frame)
    return progress


def envelopes_in(lines: Iterable[str]) -> Iterator[tuple[str, Mapping[str, Any] | str, datetime]]:
    """Direction, frame and time of each of a transcript's lines; a torn one (a writer that died) is skipped."""
    for line in lines:
        try:
            envelope = json.loads(line)
            at = datetime.fromisoformat(envelope["t"])
            if isinstance(envelope["raw"], dict | str):
                yield envelope["dir"], envelope["raw"], at
        except (ValueError, KeyError, TypeError, RecursionError):
            continue


def _is_of_our_plugin(error: Mapping[str, Any]) -> bool:
    """What is passed with the options is called inline; others are the workspace's own business."""
    return str(error.get("plugin", "inline")).startswith("inline")


def _share(window: Any) -> Any:
    return window.get("utilization") if isinstance(window, Mapping) else window  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]  # JSON


def _blocks(frame: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    message: Mapping[str, Any] = frame.get("message") or {}
    content: list[Mapping[str, Any]] | str = message.get("content") or []
    return [] if isinstance(content, str) else content
