"""What a daemon leaves its successor about its claims, outside of the queue's folders: ``claims.jsonl`` (state folder).

A line for each claim with its proof, and one once it is over. Not synced: a line that a power cut took
does no harm, because a lock of which nothing is noted is believed.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from task_queue.domain.model import Claim
from task_queue.platform import durable
from task_queue.platform.json_files import last_lines, object_in, text_in, whole_in

log = logging.getLogger(__name__)

_KEPT_LINES = 1000
_LIMIT = 16 * 2**20
_OVER = ""
"""In the place of a proof: from here on nothing is in hand under that number."""

_ClaimKey = tuple[str, str, int]


class ClaimNotes:
    """Of all sources; what an earlier daemon noted is read once, at the start. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        lines = _lines(path)
        self._noted: dict[_ClaimKey, str] = {}
        for line in lines:
            self._take(line)
        if len(lines) > 2 * _KEPT_LINES:
            self._shorten(lines[-_KEPT_LINES:])

    def of(self, source: str) -> SourceNotes:
        return SourceNotes(self, source)

    def note(self, key: _ClaimKey, proof: str) -> None:
        entry = {"source": key[0], "task_id": key[1], "attempt": key[2], "proof": proof}
        with self._lock:
            self._noted[key] = proof
            try:
                durable.append(self._path, json.dumps(entry).encode() + b"\n", sync=False)
            except OSError as error:
                log.warning("claim not noted path=%s error=%s", self._path, error)

    def noted(self, key: _ClaimKey) -> str | None:
        with self._lock:
            return self._noted.get(key)

    def _take(self, line: str) -> None:
        entry = object_in(line)
        if isinstance(entry, str):
            return  # torn, or from another program: as if nothing had been noted
        source, task_id, attempt = (
            text_in(entry, "source"),
            text_in(entry, "task_id"),
            whole_in(entry, "attempt"),
        )
        proof = text_in(entry, "proof")
        if source is not None and task_id is not None and attempt is not None and proof is not None:
            self._noted[source, task_id, attempt] = proof

    def _shorten(self, lines: Iterable[str]) -> None:
        try:
            durable.replace(self._path, "".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            log.warning("notes of claims not shortened path=%s error=%s", self._path, error)


class SourceNotes:
    """Implements ports.store.Notes."""

    def __init__(self, notes: ClaimNotes, source: str) -> None:
        self._notes = notes
        self._source = source

    def claimed(self, claim: Claim) -> None:
        self._notes.note(self._key(claim), claim.proof)

    def over(self, claim: Claim) -> None:
        self._notes.note(self._key(claim), _OVER)

    def confirm(self, claim: Claim) -> bool | None:
        noted = self._notes.noted(self._key(claim))
        return None if noted is None else noted == claim.proof != _OVER

    def _key(self, claim: Claim) -> _ClaimKey:
        return (self._source, claim.task_id, claim.attempt)


def _lines(path: Path) -> list[str]:
    try:
        return last_lines(path, limit=_LIMIT)[0]
    except FileNotFoundError:
        return []
