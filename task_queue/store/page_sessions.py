"""Who is signed in to the page: hashes of what browsers keep, and of links that sign in once. For us alone."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from task_queue.platform import durable
from task_queue.platform.json_files import Record, json_object, records_in, text_in, time_in
from task_queue.platform.lockfile import locked

_MOST = 500
"""Sessions that are kept; beyond, the oldest end."""


@dataclass(frozen=True, slots=True)
class KeptSession:
    """``credential``: what it was signed in with, as its maker spells it; empty for the owner."""

    sha256: str
    credential: str
    expires_at: datetime


class PageSessions:
    """Every method may be called from any thread and process; each reads the file anew."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, credential: str, *, now: datetime, lasts: timedelta) -> str:
        """The secret of a new session. Raises OSError."""
        return self._add("sessions", credential, now, lasts)

    def make_link(self, *, now: datetime, lasts: timedelta) -> str:
        """The secret of a link with which the owner signs in, once. Raises OSError."""
        return self._add("links", "", now, lasts)

    def use_link(self, secret: str, *, now: datetime) -> bool:
        """Whether *secret* is one, for the first time and in time. Raises OSError."""
        return self._remove("links", secret, now)

    def end(self, secret: str, *, now: datetime) -> None:
        """Raises OSError."""
        self._remove("sessions", secret, now)

    def behind(self, secret: str, *, now: datetime) -> KeptSession | None:
        """The session that *secret* belongs to, if it goes on at *now*."""
        digest = _hash_of(secret)
        # Looked up by a hash: what differs in time says nothing about the secret itself.
        return next((each for each in self._good("sessions", now) if each.sha256 == digest), None)

    def _add(self, kind: str, credential: str, now: datetime, lasts: timedelta) -> str:
        secret = secrets.token_urlsafe(32)
        durable.make_directory(self._path.parent)
        with locked(self._path.with_suffix(".lock")):
            kept = [*self._good(kind, now), KeptSession(_hash_of(secret), credential, now + lasts)]
            self._write(kind, kept[-_MOST:], now)
        return secret

    def _remove(self, kind: str, secret: str, now: datetime) -> bool:
        digest = _hash_of(secret)
        durable.make_directory(self._path.parent)
        with locked(self._path.with_suffix(".lock")):
            kept = self._good(kind, now)
            others = [each for each in kept if each.sha256 != digest]
            if len(others) == len(kept):
                return False
            self._write(kind, others, now)
        return True

    def _write(self, kind: str, changed: Iterable[KeptSession], now: datetime) -> None:
        content = {each: list(map(_content_of, self._good(each, now))) for each in ("sessions", "links")}
        content[kind] = list(map(_content_of, changed))
        durable.replace(self._path, json.dumps({"schema_version": 1, **content}).encode() + b"\n")

    def _good(self, kind: str, now: datetime) -> list[KeptSession]:
        content = json_object(self._path)
        if not isinstance(content, dict):
            return []
        found = map(_session_in, records_in(content, kind))
        return [each for each in found if each is not None and now < each.expires_at]


def _hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _content_of(session: KeptSession) -> dict[str, str]:
    return {
        "sha256": session.sha256,
        "credential": session.credential,
        "expires_at": session.expires_at.isoformat(),
    }


def _session_in(content: Record) -> KeptSession | None:
    digest, credential = text_in(content, "sha256"), text_in(content, "credential")
    expires_at = time_in(content, "expires_at")
    if digest is None or credential is None or expires_at is None:
        return None
    return KeptSession(digest, credential, expires_at)
