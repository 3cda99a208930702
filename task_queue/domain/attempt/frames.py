"""Which frames of an attempt its transcript keeps once it is full. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

FULL = "transcript full: from here on only results and limits"


@dataclass(frozen=True, slots=True)
class KeptLines:
    """What is to be added to a transcript, each with its line end, and whether it is full then."""

    lines: tuple[bytes, ...]
    is_full: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.lines))


def kept_of(lines: Iterable[str], *, room: int, is_full: bool) -> KeptLines:
    """What of *lines*, envelopes in JSON, a transcript keeps that has *room* bytes left, or *is_full* already.

    In the place of the first one that does not fit a note says so, and from there on only what the verdict needs is
    kept: that goes beyond the room.
    """
    kept: list[bytes] = []
    for line in lines:
        data = f"{line}\n".encode(errors="replace")
        if not is_full and len(data) > room:
            is_full = True
            kept.append(_note_of_full(line))
        if not is_full or decides(_frame_in(line)):
            kept.append(data)
            room -= len(data)
    return KeptLines(tuple(kept), is_full)


def decides(raw: Mapping[str, Any] | str) -> bool:
    """Whether the verdict needs that frame."""
    return not isinstance(raw, str) and raw.get("type") in {"result", "rate_limit_event", "exit", "vouched"}


def _note_of_full(line: str) -> bytes:
    """As the agent's own transcript says it, at the time and in the place of *line*."""
    known = {key: value for key, value in _envelope_in(line).items() if key in {"t", "seq"}}
    return json.dumps({**known, "dir": "note", "raw": FULL}).encode() + b"\n"


def _frame_in(line: str) -> Mapping[str, Any] | str:
    raw = _envelope_in(line).get("raw")
    return cast("dict[str, Any]", raw) if isinstance(raw, dict) else ""


def _envelope_in(line: str) -> dict[str, Any]:
    try:
        content: object = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}
