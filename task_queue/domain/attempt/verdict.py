"""From what was observed of an agent to an honest outcome: one table, first matching row wins.

Never decided by ``subtype`` alone and never by the agent's prose. Success is a single row that demands every
sign of a clean end; what no row knows is a failure that shows its evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from task_queue.domain.model import Outcome, OutcomeKind

Frame = Mapping[str, Any]
Timer = Literal["connect", "first frame", "idle", "wall clock"]

_ACCOUNT_ERRORS = {"authentication_failed", "billing_error", "oauth_org_not_allowed"}
_ACCOUNT_STATUSES = {401, 402, 403}
_TRANSIENT_STATUSES = {408, 409, 425}
_ENDINGS = {"end_turn", "stop_sequence"}
_STRUCTURED_ENDING = "tool_use"
"""Why the model stopped where its last act was the structured answer (CLI 2.1.332)."""
_ENDED_BY_SDK = {-9, -15, 137, 143}
"""Exit codes of a CLI that did not end by itself after its result, so that the SDK ended it."""
_SHOWN = (
    "subtype",
    "is_error",
    "terminal_reason",
    "stop_reason",
    "num_turns",
    "api_error_status",
    "api_error",
)
_ALWAYS_SHOWN = {"subtype", "is_error", "terminal_reason"}
_MAX_SHOWN_CHARS = 400
# What the CLI itself prints at its start, before any model spoke; it has no code for these two (2.1.330).
_UNKNOWN_SESSION = "No conversation found with session ID"
_USED_SESSION = "is already in use"


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that was seen of one attempt; the frames are raw, as the CLI wrote them."""

    result: Frame | None = None
    """The result frame that answers our own prompt."""
    retries: tuple[Frame, ...] = ()
    """``system/api_retry`` frames."""
    limits: tuple[Frame, ...] = ()
    """``rate_limit_event`` frames."""
    denials: tuple[Frame, ...] = ()
    """``system/permission_denied`` frames, which the result's own list should repeat."""
    last_error: str | None = None
    """``error`` of the last top-level assistant frame."""
    started: bool = True
    """The CLI answered at all."""
    exit_code: int | None = None
    """None while the process is not known to have ended."""
    session_id: str | None = None
    """The session that was ordered; None where any would do."""
    stderr: str = ""
    exception: str | None = None
    timer: Timer | None = None
    """Which of our time-outs ended the attempt."""
    stop: Literal["suspend", "cancel"] | None = None
    """What we were asked to do before the end."""
    wrong_account: str | None = None
    """Who would have paid, where the configuration expects another account."""
    wants_structure: bool = False
    used_tools: bool = True
    """The agent used a tool, now or earlier in the session."""
    not_loaded: str | None = None
    """Why the packaged plugin is not there, as the CLI's init frame says."""
    asked_model: str | None = None
    """The model that the task names; None where it names none."""
    model: str | None = None
    """The one that the session has, as the CLI's init frame says."""

    def of_result(self, key: str) -> Any:
        return None if self.result is None else self.result.get(key)

    @property
    def clean(self) -> bool:
        """Every sign of a normal end, whatever else happened."""
        return (
            self.result is not None
            and self.of_result("subtype") == "success"
            and self.of_result("is_error") is False
            and self.of_result("terminal_reason") == "completed"
            and self.ended_on_purpose
            and not self.of_result("api_error_status")
            and not self.of_result("api_error")
            and not self.of_result("errors")
            and self.last_error is None
            and int(self.of_result("num_turns") or 0) > 0
        )

    @property
    def ended_on_purpose(self) -> bool:
        """The model said why it stopped, and that it had finished: a list of what counts, not of what does not."""
        reason = self.of_result("stop_reason")
        return reason in _ENDINGS or (reason == _STRUCTURED_ENDING and self.has_structure)

    @property
    def has_structure(self) -> bool:
        return self.of_result("structured_output") is not None

    @property
    def is_silent(self) -> bool:
        """No final answer, in words or as a structure. After a tool the CLI asks for one again (2.1.332)."""
        return not self.has_structure and not str(self.of_result("result") or "").strip()

    @property
    def is_of_other_session(self) -> bool:
        return self.session_id is not None and self.of_result("session_id") != self.session_id

    @property
    def process_failed(self) -> bool:
        return bool(self.exit_code) and self.exit_code not in _ENDED_BY_SDK

    @property
    def denied(self) -> bool:
        return bool(self.denials or self.of_result("permission_denials"))

    @property
    def status(self) -> int | None:
        """HTTP status of the model's last failure: the result's, or without a result the last retry's."""
        if self.result is not None:
            status: int | None = self.of_result("api_error_status")
            return status
        return self.retries[-1].get("error_status") if self.retries else None

    @property
    def error(self) -> str | None:
        """The CLI's class of the last failure, found like ``status``."""
        if self.result is not None or not self.retries:
            return self.last_error
        return self.retries[-1].get("error")

    @property
    def limit(self) -> Frame | None:
        """The account's limit, if the latest word on it is a rejection that no paid overage lifts."""
        info: Frame = self.limits[-1].get("rate_limit_info", {}) if self.limits else {}
        rejected = info.get("status") == "rejected" and not info.get("isUsingOverage")
        return info if rejected else None

    @property
    def limited_model(self) -> str | None:
        """The class of models that the limit is for, ``opus`` of ``seven_day_opus``; None: all, as far as known."""
        name = str((self.limit or {}).get("rateLimitType")).partition("_day_")[2]
        return name if name and name in f"{self.asked_model} {self.model}".lower() else None

    @property
    def refused_model(self) -> str | None:
        """The model that the task names, where the endpoint knows the login and refuses what was asked of it."""
        forbidden = self.status == 403 and self.of_result("api_error_type") == "permission_error"
        return self.asked_model if forbidden else None

    @property
    def refused_to_start(self) -> bool:
        """The CLI gave up before it took the prompt, and said why: wrong options, missing programs."""
        if self.of_result("startup_failure_reason"):
            return True
        gave_up = self.result is None and not self.started and (self.exit_code or 0) > 0
        return gave_up and self.timer is None and self.stop is None  # else it was we who ended it

    @property
    def startup_text(self) -> str:
        return "\n".join([self.stderr, *map(str, self.of_result("errors") or [])])


@dataclass(frozen=True, slots=True)
class Row:
    when: Callable[[Observation], bool]
    kind: OutcomeKind
    reason: str
    lost_session: bool = False
    model_of: Callable[[Observation], str | None] = lambda _: None
    """The model that alone is concerned."""
    unreachable: bool = False


def _unanswered(seen: Observation) -> bool:
    return seen.result is None


def _transient(seen: Observation) -> bool:
    status = seen.status
    if status is not None:
        return status >= 500 or status == 429 or status in _TRANSIENT_STATUSES
    return seen.of_result("api_error") == "connection_failed" or seen.error in {"server_error", "rate_limit"}


def _unreachable(seen: Observation) -> bool:
    """No endpoint answered: refused or broken connections, names that do not resolve."""
    if seen.result is not None:
        return seen.status is None and seen.of_result("api_error") == "connection_failed"
    return bool(seen.retries) and seen.status is None


def _never_started(seen: Observation) -> bool:
    return seen.timer in {"connect", "first frame"}


def _ended_early(seen: Observation) -> bool:
    return seen.result is not None and seen.of_result("num_turns") == 0


def _broke_off(seen: Observation) -> bool:
    return seen.of_result("terminal_reason") == "completed" and not seen.ended_on_purpose


K = OutcomeKind
TABLE: tuple[Row, ...] = (
    # Without the skill it was not the work that was ordered, however well it ended.
    Row(lambda s: s.not_loaded is not None, K.UNAVAILABLE, "the packaged skill did not load"),
    Row(lambda s: s.clean and s.is_of_other_session, K.CRASHED, "the agent answered in another session"),
    Row(lambda s: s.clean and s.process_failed, K.CRASHED, "the agent's process failed after its result"),
    # What is done is done, even if a stop or a time-out came in the same moment.
    Row(
        lambda s: s.clean and s.denied, K.DENIED, "the agent ended, but something it needed was not permitted"
    ),
    Row(
        lambda s: s.clean and s.wants_structure and not s.has_structure,
        K.FAILED,
        "the agent gave no structured answer",
    ),
    Row(
        lambda s: s.clean and s.is_silent and not s.used_tools,
        K.FAILED,
        "the agent ended without having done or said anything",
    ),
    Row(lambda s: s.clean and s.is_silent, K.FAILED, "the agent ended without a final answer"),
    Row(lambda s: s.clean, K.SUCCEEDED, "the agent ended its work cleanly"),
    # Our own doing.
    Row(
        lambda s: s.wrong_account is not None, K.ACCOUNT, "another account than the configured one would pay"
    ),
    Row(lambda s: s.stop == "cancel", K.CANCELLED, "cancelled while it ran"),
    Row(lambda s: s.stop == "suspend", K.INTERRUPTED, "stopped with the queue; the session can be continued"),
    # The session.
    Row(lambda s: _UNKNOWN_SESSION in s.startup_text, K.CRASHED, "the session is unknown to the agent", True),
    Row(
        lambda s: not s.started and _USED_SESSION in s.startup_text,
        K.CRASHED,
        "the session exists already and cannot be begun again",
        True,
    ),
    Row(lambda s: s.refused_to_start, K.FAILED, "the agent refused to start"),
    # The account, or one model of it: from the status and class that the CLI reports, at the first sign.
    Row(
        lambda s: s.refused_model is not None,
        K.ACCOUNT,
        "the model that the task names is refused to this account",
        model_of=lambda s: s.refused_model,
    ),
    Row(
        lambda s: s.status in _ACCOUNT_STATUSES or s.error in _ACCOUNT_ERRORS,
        K.ACCOUNT,
        "the agent is not logged in, or the account was refused; what to do: task-queue doctor",
    ),
    Row(
        lambda s: s.limit is not None and (_unanswered(s) or s.status == 429 or s.error == "rate_limit"),
        K.LIMITED,
        "the account's usage limit is reached",
        model_of=lambda s: s.limited_model,
    ),
    Row(
        lambda s: s.of_result("api_error") == "usage_limit_reached",
        K.LIMITED,
        "the account's usage limit is reached",
        model_of=lambda s: s.limited_model,
    ),
    # The task's own bounds.
    Row(
        lambda s: (
            s.of_result("subtype") == "error_max_turns" or s.of_result("terminal_reason") == "max_turns"
        ),
        K.MAX_TURNS,
        "the turns allowed are used up",
    ),
    Row(
        lambda s: (
            s.of_result("subtype") == "error_max_budget_usd"
            or s.of_result("terminal_reason") == "budget_exhausted"
        ),
        K.BUDGET,
        "the budget is spent",
    ),
    Row(lambda s: s.of_result("stop_reason") == "refusal", K.REFUSED, "the model refused the task"),
    Row(
        lambda s: s.of_result("subtype") == "error_max_structured_output_retries",
        K.FAILED,
        "the agent gave no structured answer",
    ),
    # Time. What no endpoint answered in is not the task's.
    Row(
        lambda s: s.timer is not None and _unanswered(s) and _unreachable(s),
        K.UNAVAILABLE,
        "no endpoint could be reached until the agent was given up",
        unreachable=True,
    ),
    Row(lambda s: s.timer == "wall clock", K.TIMED_OUT, "the time allowed for one attempt is over"),
    Row(
        lambda s: s.timer is not None and bool(s.retries) and _unanswered(s) and _transient(s),
        K.UNAVAILABLE,
        "the model could not be reached until the agent was given up",
    ),
    Row(_never_started, K.STALLED, "the agent did not get going"),
    Row(lambda s: s.timer == "idle", K.STALLED, "the agent was silent for too long"),
    # The service.
    Row(
        lambda s: s.result is not None and _unreachable(s),
        K.UNAVAILABLE,
        "no endpoint can be reached",
        unreachable=True,
    ),
    Row(
        lambda s: s.result is not None and _transient(s),
        K.UNAVAILABLE,
        "the model is overloaded or fails",
    ),
    # Infrastructure.
    Row(_unanswered, K.CRASHED, "the agent ended without a result"),
    Row(
        lambda s: str(s.of_result("terminal_reason")).startswith("aborted"),
        K.CRASHED,
        "the turn was aborted, and not by us",
    ),
    Row(_ended_early, K.FAILED, "the agent ended without having done anything"),
    Row(lambda s: bool(s.of_result("is_error")), K.FAILED, "the agent reported an error"),
    # A cut stream, or an answer that was to be continued: the session can go on.
    Row(_broke_off, K.CRASHED, "the model's last answer did not end as a finished one does"),
    Row(lambda _: True, K.FAILED, "the agent's end is of an unknown kind, which is never success"),
)


def judge(seen: Observation) -> Outcome:
    """The outcome of an attempt, with the facts that led to it."""
    row = deciding(seen)
    return Outcome(
        kind=row.kind,
        reason=row.reason,
        evidence=evidence_of(seen),
        resets_at=_reset_of(seen) if row.kind is OutcomeKind.LIMITED else None,
        lost_session=row.lost_session,
        model=row.model_of(seen),
        unreachable=row.unreachable,
    )


def deciding(seen: Observation) -> Row:
    """The row that decides."""
    return next(row for row in TABLE if row.when(seen))


def is_hopeless(seen: Observation) -> bool:
    """Whether waiting for the CLI's own retries is useless: the account is refused or at its limit."""
    if seen.wrong_account is not None or seen.not_loaded is not None:
        return True
    if not seen.retries:
        return False
    last = seen.retries[-1]
    if last.get("error") in _ACCOUNT_ERRORS or last.get("error_status") in _ACCOUNT_STATUSES:
        return True
    return seen.limit is not None and last.get("error_status") == 429


def evidence_of(seen: Observation) -> tuple[str, ...]:
    """The observed facts, one a line."""
    return (
        *_facts_of_result(seen),
        *_facts_of_service(seen),
        *(f"denied: {text}" for text in _denied(seen)),
        *_facts_of_process(seen),
    )


def _facts_of_result(seen: Observation) -> Iterator[str]:
    if seen.result is None:
        yield "no result"
        return
    for key in _SHOWN:
        if key in _ALWAYS_SHOWN or seen.result.get(key) is not None:
            yield f"{key}={_shown(seen.result.get(key))}"
    for text in seen.result.get("errors") or ():
        yield f"error: {_shown(text)}"
    text = seen.result.get("result")
    if not seen.clean and isinstance(text, str) and text:
        yield f"result: {_shown(text)}"


def _facts_of_service(seen: Observation) -> Iterator[str]:
    if seen.last_error:
        yield f"assistant error={seen.last_error}"
    if seen.retries:
        last = seen.retries[-1]
        status = last.get("error_status") or "no status"
        count = f"{last.get('attempt')}/{last.get('max_retries')}"
        yield f"api_retry {count}: {status} {_shown(last.get('error'))}"
    if seen.limit is not None:
        yield f"rate limit: rejected {seen.limit.get('rateLimitType')} until {_reset_of(seen)}"
    if seen.not_loaded is not None:
        yield f"not loaded: {_shown(seen.not_loaded)}"
    if seen.wrong_account is not None:
        yield f"would be billed to: {seen.wrong_account}"


def _facts_of_process(seen: Observation) -> Iterator[str]:
    if seen.timer is not None:
        yield f"timer: {seen.timer}"
    if seen.stop is not None:
        yield f"asked to {seen.stop}"
    if seen.exit_code:
        yield f"exit code {seen.exit_code}"
    if seen.exception is not None and seen.result is None:
        yield f"exception: {_shown(seen.exception)}"
    if seen.stderr and not seen.clean:
        yield f"stderr: {_shown(seen.stderr.strip()[-_MAX_SHOWN_CHARS:])}"


def _denied(seen: Observation) -> list[str]:
    listed: list[Frame] = list(seen.of_result("permission_denials") or ())
    inputs = {denial.get("tool_use_id"): denial for denial in (*seen.denials, *listed)}
    texts: list[str] = []
    for denial in inputs.values():
        given: Mapping[str, Any] = denial.get("tool_input") or {}
        argument = next((str(value) for value in given.values()), "")
        texts.append(_shown(f"{denial.get('tool_name')} {argument}".strip()))
    return texts


def _reset_of(seen: Observation) -> datetime | None:
    params: Frame = seen.limit or {}
    resets_at = params.get("resetsAt")
    return datetime.fromtimestamp(resets_at, tz=UTC) if isinstance(resets_at, int | float) else None


def _shown(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1] + "…"
