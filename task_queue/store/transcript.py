"""An attempt's ``transcript.jsonl``: one envelope per frame, written as it happens.

Nothing secret goes in, no envelope is longer than 64 KiB, and the whole has a bound, after which only what
the verdict needs goes on. A transcript that cannot be written does not stop the agent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from task_queue.domain.attempt.frames import FULL, decides
from task_queue.domain.secrets import redacted

_MAX_ENVELOPE_BYTES = 64 * 1024
_CUTS = (16 * 1024, 4 * 1024, 1024, 256)


class FileTranscript:
    """Transcript of one attempt; appends to *path*, at most *limit_mb* in all."""

    def __init__(
        self,
        path: Path,
        *,
        limit_mb: int = 200,
        secrets: Iterable[str] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._room = limit_mb * 2**20 - os.fstat(self._fd).st_size
        self._secrets = tuple(secrets)
        self._now = now
        self._seq = 0
        self._full = False
        self._lost = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def write(self, direction: str, raw: Mapping[str, Any] | str) -> None:
        """Append one envelope; see the port."""
        if self._full and not decides(raw):
            return
        line = self._line(direction, raw)
        if not self._full and len(line) > self._room:
            self._full = True
            self._append(self._line("note", FULL))
            if not decides(raw):
                return
        self._append(line)

    def close(self) -> None:
        """Make what was written durable."""
        try:
            os.fsync(self._fd)
        finally:
            os.close(self._fd)

    def _line(self, direction: str, raw: Mapping[str, Any] | str) -> bytes:
        self._seq += 1
        at = self._now().isoformat(timespec="milliseconds")
        # Redacted before anything is cut, so that no half of a secret is left at the edge.
        shown = redacted(raw, self._secrets)
        envelope: dict[str, Any] = {"t": at, "seq": self._seq, "dir": direction, "raw": shown}
        line = _dumped(envelope)
        for length in _CUTS:
            if len(line) <= _MAX_ENVELOPE_BYTES:
                return line
            line = _dumped(_cut(envelope, length))
        if len(line) <= _MAX_ENVELOPE_BYTES:
            return line
        return _dumped(envelope | {"raw": _outline(shown, len(line))})

    def _append(self, line: bytes) -> None:
        """One write, so that lines of two writers never mix; a short one is undone."""
        if self._lost:
            line = self._line("note", f"{self._lost} envelopes could not be written") + line
        try:
            written = os.write(self._fd, line)
            if written < len(line):
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
        except OSError:
            written = 0
        complete = written == len(line)
        self._lost = 0 if complete else self._lost + 1
        self._room -= written if complete else 0


def _cut(value: Any, length: int) -> Any:
    """*value* with every string cut to *length* characters, saying how long it was."""
    match value:
        case str() if len(value) > length:
            return f"{value[:length]}… [cut: {len(value)} characters in all]"
        case list():
            return [_cut(item, length) for item in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
        case dict():
            return {key: _cut(item, length) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]  # JSON
        case _:
            return value


def _outline(raw: Mapping[str, Any] | str, size: int) -> dict[str, Any]:
    """What stays of a frame that is too long even with its strings cut: its plain fields."""
    plain = {} if isinstance(raw, str) else {k: v for k, v in raw.items() if not isinstance(v, dict | list)}
    return {**_cut(plain, _CUTS[-1]), "cut": f"{size} bytes"}


def _dumped(envelope: Mapping[str, Any]) -> bytes:
    return (json.dumps(envelope, ensure_ascii=False) + "\n").encode(errors="replace")
