"""What has been seen of a running agent, and when its silence is too long. Pure: the time is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from task_queue.domain.verdict import Observation, Timer

_STDERR_LINES = 50
_MAX_KEPT_FRAMES = 20
_CLOUD_SWITCHES = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds of time awake."""

    connect_s: float = 90.0
    first_frame_s: float = 120.0
    idle_s: float = 900.0
    tool_s: float = 780.0
    """Silence allowed while a tool runs, if longer than ``idle_s``: the longest Bash call and a margin."""
    wall_clock_s: float = 7200.0


@dataclass(slots=True)
class Watch:
    """Fed with every frame of one session; ``started_at`` and every ``now`` are monotonic seconds."""

    timers: Timers
    started_at: float
    prompt_uuid: str
    expected_account: str = "any"
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    result: dict[str, Any] | None = None
    billed_to: str | None = None
    last_text: str = ""
    message_ids: set[str] = field(default_factory=set[str])
    usage: dict[str, int] = field(default_factory=dict[str, int])
    connected: bool = False
    stderr: deque[str] = field(default_factory=lambda: deque[str](maxlen=_STDERR_LINES))
    _prompted_at: float | None = None
    _heard: bool = False
    _quiet_since: float = 0.0
    _tools: set[str] = field(default_factory=set[str])
    _retries: deque[dict[str, Any]] = field(
        default_factory=lambda: deque[dict[str, Any]](maxlen=_MAX_KEPT_FRAMES)
    )
    _limits: deque[dict[str, Any]] = field(
        default_factory=lambda: deque[dict[str, Any]](maxlen=_MAX_KEPT_FRAMES)
    )
    _denials: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _last_error: str | None = None
    _wrong_account: str | None = None

    def prompted(self, now: float) -> None:
        self._prompted_at = self._quiet_since = now

    def saw(self, frame: dict[str, Any], now: float) -> None:
        """Take in one frame from the CLI."""
        kind, subtype = frame.get("type"), frame.get("subtype")
        if kind == "control_response":
            self.connected = True
            return
        self._heard = True
        self._quiet_since = max(self._quiet_since, now)
        match kind, subtype:
            case "system", "init":
                self._saw_init(frame)
            case "system", "api_retry":
                self._retries.append(frame)
                self._quiet_since = now + float(frame.get("retry_delay_ms") or 0) / 1000
            case "system", "permission_denied":
                self._denials.append(frame)
            case "rate_limit_event", _:
                self._limits.append(frame)
            case "assistant", _:
                self._saw_answer(frame)
            case "user", _:
                self._tools -= {str(block.get("tool_use_id")) for block in _blocks(frame)}
            case "result", _ if self._is_ours(frame):
                self.result = frame
            case _:
                pass

    def overdue(self, now: float) -> Timer | None:
        """The time-out that has passed at *now*, if any."""
        return next((timer for timer, at in self._deadlines() if now >= at), None)

    def next_deadline(self) -> float:
        return min(at for _, at in self._deadlines())

    def observation(
        self,
        *,
        exit_code: int | None,
        exception: str | None = None,
        timer: Timer | None = None,
        stop: Literal["suspend", "cancel"] | None = None,
    ) -> Observation:
        return Observation(
            result=self.result,
            retries=tuple(self._retries),
            limits=tuple(self._limits),
            denials=tuple(self._denials),
            last_error=self._last_error,
            started=self.connected,
            exit_code=exit_code,
            stderr="\n".join(self.stderr),
            exception=exception,
            timer=timer,
            stop=stop,
            wrong_account=self._wrong_account,
        )

    def _deadlines(self) -> list[tuple[Timer, float]]:
        deadlines: list[tuple[Timer, float]] = [("wall clock", self.started_at + self.timers.wall_clock_s)]
        if self._prompted_at is None:
            deadlines.append(("connect", self.started_at + self.timers.connect_s))
        elif not self._heard:
            deadlines.append(("first frame", self._prompted_at + self.timers.first_frame_s))
        else:
            patience = max(self.timers.idle_s, self.timers.tool_s) if self._tools else self.timers.idle_s
            deadlines.append(("idle", self._quiet_since + patience))
        return deadlines

    def _is_ours(self, frame: Mapping[str, Any]) -> bool:
        """A result may belong to an injected turn; ours names our prompt, or no prompt at all."""
        uuids = frame.get("user_message_uuids") or [frame.get("user_message_uuid")]
        return self.prompt_uuid in uuids or uuids == [None]

    def _saw_init(self, frame: Mapping[str, Any]) -> None:
        self.billed_to = _payer(str(frame.get("apiKeySource")), self.env)
        if self.expected_account not in {"any", self.billed_to}:
            self._wrong_account = self.billed_to

    def _saw_answer(self, frame: Mapping[str, Any]) -> None:
        blocks = _blocks(frame)
        self._tools |= {str(block.get("id")) for block in blocks if block.get("type") == "tool_use"}
        if frame.get("parent_tool_use_id") is not None:
            return
        self._last_error = frame.get("error")
        if self._last_error is not None:
            return
        self._retries.clear()
        message = frame["message"]
        if message.get("id") not in self.message_ids:
            self.message_ids.add(str(message.get("id")))
            usage: Mapping[str, Any] = message.get("usage") or {}
            for key, value in usage.items():
                if isinstance(value, int):
                    self.usage[key] = self.usage.get(key, 0) + value
        self.last_text = (
            "\n".join(str(b["text"]) for b in blocks if b.get("type") == "text") or self.last_text
        )


def _payer(source: str, env: Mapping[str, str]) -> str:
    """Who pays, from the CLI's word about its key (``none``: a subscription's login) and its switches."""
    if any(env.get(name) for name in _CLOUD_SWITCHES):
        return "cloud"
    return "subscription" if source in {"none", "oauth"} else "api_key"


def _blocks(frame: Mapping[str, Any]) -> list[dict[str, Any]]:
    message: Mapping[str, Any] = frame.get("message") or {}
    content: list[dict[str, Any]] | str = message.get("content") or []
    return [] if isinstance(content, str) else content
