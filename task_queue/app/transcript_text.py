"""A transcript's lines as a person reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from task_queue.platform.json_files import object_in

_SHORT = 160
_MAX_LINES = 8


def readable(line: str) -> str | None:
    """What the envelope in *line* says to a person, None if nothing."""
    envelope = object_in(line)
    if isinstance(envelope, str):
        return f"? {_short(line)}"
    kind, raw = _fields(envelope)
    if not isinstance(raw, dict):
        return f"{kind}: {_block(str(raw))}" if raw else None
    frame = cast("dict[str, Any]", raw)
    match frame.get("type"):
        case "assistant" | "user":
            return "\n".join(_blocks(frame)) or None
        case "result":
            return _result(frame)
        case "system":
            return _system(frame)
        case "command" | "output" | "exit" as what:
            return _command(what, frame)
        case "workflow" | "phase" | "check_started" | "site" | "permissions" as what:
            return _note(what, frame)
        case "vouched":  # between the runner and the process that files the result
            return None
        case _:
            return f"{kind}: {_short(json.dumps(frame))}" if kind in {"note", "err"} else None


def _note(what: str, frame: Mapping[str, Any]) -> str:
    match what:
        case "workflow":
            return f"workflow: {_of(frame, 'name')}"
        case "phase":
            return f"phase: {_of(frame, 'phase')}"
        case "check_started":
            return f"{_of(frame, 'purpose')}: {_of(frame, 'command')}"
        case "site":  # the word of the transcript
            return f"checkout: {_of(frame, 'workspace')}"
        case _:
            return f"permissions: {_of(frame, 'profile')}"


def _result(frame: Mapping[str, Any]) -> str:
    # The CLI calls it a success where it only means that it got to an end.
    ended = "error" if frame.get("is_error") is True else _of(frame, "subtype")
    turns = _of(frame, "num_turns")
    return f"result: {ended}, {turns} turn{'' if turns == '1' else 's'}"


def _fields(envelope: Mapping[str, Any]) -> tuple[str, Any]:
    return str(envelope.get("dir", "?")), envelope.get("raw")


def _command(what: str, frame: Mapping[str, Any]) -> str | None:
    """Of a configured command every line is shown: it has no other words."""
    if what == "command":
        argv: object = frame.get("argv")
        return f"-> {' '.join(map(str, cast('list[object]', argv)))}" if isinstance(argv, list) else None
    if what == "exit":
        return f"exit code {_of(frame, 'code')}"
    mark = "! " if frame.get("stream") == "stderr" else ""
    return "\n".join(mark + line for line in _of(frame, "text").splitlines()) or None


def _system(frame: Mapping[str, Any]) -> str | None:
    match frame.get("subtype"):
        case "init":
            return f"session {_of(frame, 'session_id')}, model {_of(frame, 'model')}"
        case "api_retry":
            return f"retry {_of(frame, 'attempt')}: {_of(frame, 'error')} ({_of(frame, 'error_status')})"
        case "permission_denied":
            return f"denied: {_of(frame, 'tool_name')}"
        case _:
            return None


def _blocks(frame: Mapping[str, Any]) -> Iterator[str]:
    message: object = frame.get("message")
    content: object = cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        yield _block(content)
    for item in cast("list[object]", content) if isinstance(content, list) else []:
        if not isinstance(item, dict):
            continue
        block = cast("dict[str, Any]", item)
        match block.get("type"):
            case "text":
                yield _block(_of(block, "text"))
            case "tool_use":
                yield f"-> {_of(block, 'name')} {_short(json.dumps(block.get('input'), ensure_ascii=False))}"
            case "tool_result":
                failed = " (failed)" if block.get("is_error") is True else ""
                yield f"<-{failed} {_short(_result_text(block.get('content')))}"
            case _:
                pass


def _result_text(content: object) -> str:
    if isinstance(content, str):
        return content
    return json.dumps(content, ensure_ascii=False)


def _of(frame: Mapping[str, Any], key: str) -> str:
    value: object = frame.get(key)
    return "?" if value is None else str(value)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHORT else flat[: _SHORT - 1] + "…"


def _block(text: str) -> str:
    lines = text.strip().splitlines()
    if len(lines) <= _MAX_LINES:
        return "\n".join(lines)
    return "\n".join([*lines[:_MAX_LINES], f"… {len(lines) - _MAX_LINES} more lines"])
