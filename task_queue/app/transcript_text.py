"""A transcript in words, entry by entry: phases, what the agent says and does, checks, limits.

A call and its result are one entry. Nothing in a transcript's content is fatal: a line of an unknown kind is
left out, one that cannot be read is shown as it is. Deliberately absent: the terminal, and how much of a long
text is shown.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, cast

from task_queue.domain.attempt.current_phase import CHECK, CHECK_STARTED, PHASE
from task_queue.domain.attempt.progress import telling_argument
from task_queue.domain.attempt.rebuild import CHECKOUT, SESSION_LOST, VOUCHED
from task_queue.domain.document.readers import spelled
from task_queue.domain.permission.rules import RULES_IN_FORCE
from task_queue.domain.work.verification import Check
from task_queue.platform.json_files import number_in, object_in, text_in, time_in, whole_in

_HELD = 200
"""A call waits for its result while no more entries than these follow it."""
_LONGEST_S = 1e8
_LIMITS = {
    "five_hour": "of 5 hours",
    "seven_day": "of 7 days",
    "seven_day_opus": "of 7 days for Opus",
    "seven_day_sonnet": "of 7 days for Sonnet",
    "overage": "of extra usage",
}


class EntryKind(Enum):
    PHASE = auto()
    """``text`` is the name of a phase: what follows belongs to it."""
    WORDS = auto()
    """``body`` is what the agent or a command said; ``text`` says who, if it was not the agent."""
    TOOL = auto()
    """``text`` is a call, ``body`` its result."""
    RESULT = auto()
    """``body`` is the result of a call that was shown before; ``text`` says which, unless it was the last entry."""
    CHECK = auto()
    """``text`` is a command and what it came to, ``body`` the end of what it wrote."""
    FACT = auto()
    """``text`` is a sentence."""


TOOLS = frozenset({EntryKind.TOOL, EntryKind.RESULT})


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    kind: EntryKind
    at: datetime | None
    text: str = ""
    body: str = ""
    failed: bool = False
    of_subagent: bool = False


@dataclass(eq=False, slots=True)
class _Unreleased:
    """An entry, and the id of the call in it whose result has not come."""

    entry: TranscriptEntry
    call: str | None = None


class TranscriptReader:
    """The entries in a transcript's lines; *live*: each call at once, and its result when it comes."""

    def __init__(self, *, live: bool = False) -> None:
        self._most_held = 0 if live else _HELD
        self._held = deque[_Unreleased]()
        self._given_up: dict[str, str] = {}
        """Calls that were shown without their result, by id."""
        self._shown_last: str | None = None
        """The id of the call that was the last entry shown."""

    def entries(self, lines: Iterable[str]) -> Iterator[TranscriptEntry]:
        for line in lines:
            yield from self._read(line)
        yield from self._release(most=0)

    def _read(self, line: str) -> Iterator[TranscriptEntry]:
        envelope = object_in(line)
        if isinstance(envelope, str):
            if line.strip():
                yield from self._add(TranscriptEntry(EntryKind.FACT, None, f"? {line}"))
            return
        at, direction, raw = time_in(envelope, "t"), text_in(envelope, "dir"), envelope.get("raw")
        if isinstance(raw, dict):
            frame = cast("dict[str, Any]", raw)
            if frame.get("type") in ("assistant", "user"):
                yield from self._conversation(frame, at, is_prompt=direction == "out")
                return
            entry = _entry_of(frame, at, direction)
        else:
            source = "stderr" if direction == "err" else direction or "?"
            entry = TranscriptEntry(EntryKind.FACT, at, f"{source}: {raw}") if raw else None
        if entry is not None:
            if entry.kind is EntryKind.PHASE:
                yield from self._release(most=0)
            yield from self._add(entry)

    def _conversation(
        self, frame: Mapping[str, Any], at: datetime | None, *, is_prompt: bool
    ) -> Iterator[TranscriptEntry]:
        parent = frame.get("parent_tool_use_id")
        if isinstance(parent, str):
            self._give_up(parent)
        who = "" if frame.get("type") == "assistant" else "prompt" if is_prompt else "to the agent"
        said = TranscriptEntry(EntryKind.WORDS, at, who, of_subagent=parent is not None)
        message: object = frame.get("message")
        content: object = (
            cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else None
        )
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        for item in cast("list[object]", content) if isinstance(content, list) else []:
            block = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
            match block.get("type"):
                case "text":
                    if text := str(block.get("text")).strip():
                        yield from self._add(replace(said, body=text))
                case "tool_use":
                    call = replace(said, kind=EntryKind.TOOL, text=_call(block))
                    yield from self._add(call, call=str(block.get("id")))
                case "tool_result":
                    yield from self._answer(block, replace(said, kind=EntryKind.RESULT, text=""))
                case _:
                    pass

    def _answer(self, block: Mapping[str, Any], alone: TranscriptEntry) -> Iterator[TranscriptEntry]:
        """Beside its call; as an entry like *alone* where the call has been shown."""
        call = str(block.get("tool_use_id"))
        body, failed = _result_text(block.get("content")), block.get("is_error") is True
        for held in self._held:
            if held.call == call:
                held.entry, held.call = replace(held.entry, body=body, failed=failed), None
                yield from self._release(most=self._most_held)
                return
        name = self._given_up.pop(call, "an earlier call")
        of = "" if self._shown_last == call else f"result of {name}"
        yield from self._add(replace(alone, text=of, body=body, failed=failed))

    def _add(self, entry: TranscriptEntry, call: str | None = None) -> Iterator[TranscriptEntry]:
        self._held.append(_Unreleased(entry, call))
        yield from self._release(most=self._most_held)

    def _release(self, *, most: int) -> Iterator[TranscriptEntry]:
        """Those that wait for no result, and what is more than *most*."""
        while self._held and (self._held[0].call is None or len(self._held) > most):
            first = self._held.popleft()
            self._shown_last = first.call
            if first.call is not None:
                self._given_up[first.call] = first.entry.text
            yield first.entry

    def _give_up(self, call: str) -> None:
        """What a subagent does is shown meanwhile, below the call that started it."""
        for held in self._held:
            if held.call == call:
                held.call = None
                self._given_up[call] = held.entry.text


def _entry_of(frame: Mapping[str, Any], at: datetime | None, direction: str | None) -> TranscriptEntry | None:
    """The entry that *frame* is, but for those of the conversation; None where it says nothing to a person."""
    match frame.get("type"), frame.get("subtype"):
        case str(name), _ if name == PHASE:
            return TranscriptEntry(EntryKind.PHASE, at, _of(frame, "phase"))
        case str(name), _ if name == CHECK:
            return _check(frame, at, "set-up" if frame.get("purpose") == "setup" else "check")
        case str(name), _ if name == CHECK_STARTED:
            return None
        case "command", _:
            argv: object = frame.get("argv")
            words = cast("list[object]", argv) if isinstance(argv, list) else [argv]
            return TranscriptEntry(EntryKind.FACT, at, f"command: {' '.join(map(str, words))}")
        case "output", _:
            is_error = frame.get("stream") == "stderr"
            return TranscriptEntry(
                EntryKind.WORDS, at, "stderr" if is_error else "", body=_of(frame, "text").strip("\n")
            )
        case _:
            text = _sentence(frame, direction)
            return TranscriptEntry(EntryKind.FACT, at, text) if text else None


def _sentence(frame: Mapping[str, Any], direction: str | None) -> str | None:
    match frame.get("type"), frame.get("subtype"):
        case "workflow", _:
            return f"workflow: {_of(frame, 'name')}"
        case str(name), _ if name == CHECKOUT:
            return f"checkout: {_of(frame, 'workspace')}"
        case str(name), _ if name == RULES_IN_FORCE:
            return f"permissions: {_of(frame, 'profile')}"
        case str(name), _ if name == SESSION_LOST:
            return f"the earlier session is lost: {_of(frame, 'text')}"
        case str(name), _ if name == VOUCHED:  # between the runner and the process that files the result
            return None
        case "exit", _:
            return f"exit code {_of(frame, 'code')}"
        case "result", _:
            return _session_end(frame)
        case "rate_limit_event", _:
            return _limit(frame.get("rate_limit_info"))
        case "system", "init":
            return f"session {_of(frame, 'session_id')}, model {_of(frame, 'model')}"
        case "system", "api_retry":
            return _retry(frame)
        case "system", "permission_denied":
            return f"denied: {_of(frame, 'tool_name')}"
        case _:
            return f"{direction}: {json.dumps(frame, ensure_ascii=False)}" if direction == "note" else None


def _check(frame: Mapping[str, Any], at: datetime | None, what: str) -> TranscriptEntry:
    check = Check(
        _of(frame, "command"),
        whole_in(frame, "exit_code"),
        whole_in(frame, "duration_ms") or 0,
        text_in(frame, "tail") or "",
        timed_out=frame.get("timed_out") is True,
        not_found=frame.get("not_found") is True,
        interrupted=frame.get("interrupted") is True,
    )
    said = f"{what} {check.command}: {check.verdict}, after {_time(check.duration_ms / 1000)}"
    return TranscriptEntry(EntryKind.CHECK, at, said, check.tail.strip("\n"), failed=not check.passed)


def _session_end(frame: Mapping[str, Any]) -> str:
    # The CLI calls it a success where it only means that it got to an end.
    subtype = _of(frame, "subtype")
    error = f"error: {' '.join(str(frame.get('result') or subtype).split())}"
    turns = _of(frame, "num_turns")
    parts = [
        error if frame.get("is_error") is True else subtype,
        f"{turns} turn{'' if turns == '1' else 's'}",
    ]
    took, cost = number_in(frame, "duration_ms"), number_in(frame, "total_cost_usd")
    if took is not None:
        parts.append(_time(took / 1000))
    if cost is not None:
        parts.append(f"the session has cost ${cost:.2f}")
    return f"the session ended: {', '.join(parts)}"


def _retry(frame: Mapping[str, Any]) -> str:
    why = ", ".join(str(frame[key]) for key in ("error_status", "error") if frame.get(key) is not None)
    most = f" of {frame['max_retries']}" if frame.get("max_retries") is not None else ""
    delay = number_in(frame, "retry_delay_ms")
    after = f" in {_time(delay / 1000)}" if delay is not None else ""
    return f"a request failed ({why or 'no reason given'}): retry {_of(frame, 'attempt')}{most}{after}"


def _limit(told: object) -> str | None:
    if not isinstance(told, dict):
        return None
    info = cast("dict[str, Any]", told)
    status, kind = info.get("status"), _of(info, "rateLimitType")
    name = f"usage limit {_LIMITS.get(kind, kind)}"
    resets = number_in(info, "resetsAt")
    until = f"; it resets at {_instant(resets)}" if resets is not None else ""
    match status:
        case "rejected":
            return f"the {name} is reached{until}"
        case "allowed_warning":
            used = number_in(info, "utilization")
            share = f"{used:.0%} of the {name} is used" if used is not None else f"the {name} is near"
            return share + until
        case _:
            return None


def _call(block: Mapping[str, Any]) -> str:
    name, given = _of(block, "name"), block.get("input")
    if not isinstance(given, dict):
        return name
    arguments = cast("dict[str, Any]", given)
    argument = telling_argument(arguments)
    if argument is None:
        argument = json.dumps(arguments, ensure_ascii=False) if arguments else ""
    return f"{name} {argument}".rstrip()


def _result_text(content: object) -> str:
    if isinstance(content, str):
        return content.strip("\n")
    parts = cast("list[object]", content) if isinstance(content, list) else [content]
    return "\n".join(map(_part_text, parts)).strip("\n")


def _part_text(part: object) -> str:
    if not isinstance(part, dict):
        return "" if part is None else str(part)
    block = cast("dict[str, Any]", part)
    text = text_in(block, "text")
    return text if text is not None else f"({_of(block, 'type')})"


def _time(seconds: float) -> str:
    if not 0 <= seconds < _LONGEST_S:
        return "an unknown time"
    return spelled(timedelta(seconds=round(seconds, 1 if seconds < 10 else None)))


def _instant(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def _of(frame: Mapping[str, Any], key: str) -> str:
    value: object = frame.get(key)
    return "?" if value is None else str(value)
