"""The tokens of the API: a file of their hashes for us alone, and beside it when each was used last.

A token is 256 random bits, so a plain SHA-256 of it cannot be reversed, and to check one takes no time that another
user could make us spend.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from task_queue.domain.errors import TaskQueueError
from task_queue.domain.policy import AccessPolicy, roles_named
from task_queue.platform import durable
from task_queue.platform.json_files import (
    Record,
    json_object,
    object_in,
    records_in,
    text_in,
    texts_in,
    time_in,
)
from task_queue.platform.lockfile import locked

_PREFIX = "tq_"
_NOTE_USE_EVERY = timedelta(minutes=1)
_LISTS = ("sources", "repositories", "types", "capabilities", "executors")
_NOTHING = hashlib.sha256(b"").hexdigest()
Wanted = TypeVar("Wanted")


class UnknownTokenError(TaskQueueError):
    """No token has that id or name."""


@dataclass(frozen=True, slots=True)
class KeptToken:
    id: str
    name: str
    sha256: str
    policy: AccessPolicy
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Tokens:
    """Every method may be called from any thread and process; each reads the file anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._uses = path.with_name(f"{path.stem}-used.json")

    def all(self) -> tuple[KeptToken, ...]:
        """In the order in which they were made, revoked and expired ones included. Raises TaskQueueError, OSError."""
        used = json_object(self._uses)
        times: Record = used if isinstance(used, dict) else {}
        return tuple(replace(token, last_used_at=time_in(times, token.id)) for token in self._read())

    def create(
        self, name: str, policy: AccessPolicy, *, now: datetime, expires_at: datetime | None
    ) -> tuple[KeptToken, str]:
        """The new one and its text, which is kept nowhere. Raises TaskQueueError if the name was used, OSError."""
        token_id = secrets.token_hex(4)
        text = f"{_PREFIX}{token_id}_{secrets.token_urlsafe(32)}"
        made = KeptToken(token_id, name, _hash_of(text), policy, now, expires_at)

        def add(tokens: tuple[KeptToken, ...]) -> tuple[tuple[KeptToken, ...], tuple[KeptToken, str]]:
            if any(token.name == name for token in tokens):
                raise TaskQueueError(
                    f"there is or was a token with the name '{name}', and tasks keep that name",
                    hint="choose another name",
                )
            return (*tokens, made), (made, text)

        return self._change(add)

    def revoke(self, named: str, *, now: datetime) -> KeptToken:
        """The token with the id or the name *named*; it may be revoked already. Raises UnknownTokenError, OSError."""

        def end(tokens: tuple[KeptToken, ...]) -> tuple[tuple[KeptToken, ...], KeptToken]:
            for index, token in enumerate(tokens):
                if named in {token.id, token.name}:
                    ended = replace(token, revoked_at=token.revoked_at or now)
                    return (*tokens[:index], ended, *tokens[index + 1 :]), ended
            raise UnknownTokenError(
                f"there is no token '{named}'", hint="see what there is with: task-queue tokens list"
            )

        return self._change(end)

    def behind(self, text: str, *, now: datetime) -> KeptToken | None:
        """The token that *text* is, if it is good at *now*. Raises TaskQueueError, OSError."""
        token_id = text.removeprefix(_PREFIX).partition("_")[0] if text.startswith(_PREFIX) else ""
        kept = next((token for token in self._read() if token.id == token_id), None)
        # Compared in every case, in a time that does not depend on what is alike.
        is_it = hmac.compare_digest(_hash_of(text), kept.sha256 if kept else _NOTHING)
        return kept if kept is not None and is_it and kept.is_good(now) else None

    def is_good(self, token_id: str, *, now: datetime) -> bool:
        """Whether the token *token_id* may still be used. Raises TaskQueueError, OSError."""
        return any(token.id == token_id and token.is_good(now) for token in self._read())

    def note_use(self, token_id: str, now: datetime) -> None:
        """At most once a minute; a disk that does not take it does not make the token bad."""
        with suppress(OSError):
            used = json_object(self._uses)
            times: dict[str, Any] = used if isinstance(used, dict) else {}
            last = time_in(times, token_id)
            if last is None or not timedelta() <= now - last < _NOTE_USE_EVERY:
                content = times | {token_id: now.isoformat()}
                durable.replace(self._uses, json.dumps(content).encode() + b"\n")

    def _change(
        self, change: Callable[[tuple[KeptToken, ...]], tuple[tuple[KeptToken, ...], Wanted]]
    ) -> Wanted:
        durable.make_directory(self._path.parent)
        with locked(self._path.with_suffix(".lock")):
            tokens, outcome = change(tuple(self._read()))
            content = {"schema_version": 1, "tokens": [_content_of(token) for token in tokens]}
            durable.replace(self._path, json.dumps(content, indent=1).encode() + b"\n")
        return outcome

    def _read(self) -> Iterable[KeptToken]:
        try:
            data, _ = durable.read_regular(self._path, limit=2**24)
        except FileNotFoundError:
            return
        content = object_in(data)
        if isinstance(content, str):
            raise TaskQueueError(
                f"{self._path} {content}, so no token is accepted", hint="restore it, or move it away"
            )
        for each in records_in(content, "tokens"):
            token = _token_in(each)
            if token is not None:
                yield token


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _content_of(token: KeptToken) -> dict[str, Any]:
    policy = token.policy
    return {
        "id": token.id,
        "name": token.name,
        "sha256": token.sha256,
        "roles": list(policy.roles),
        **{name: list(getattr(policy, name)) for name in _LISTS},
        "own": policy.own,
        "created_at": token.created_at.isoformat(),
        "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
        "revoked_at": None if token.revoked_at is None else token.revoked_at.isoformat(),
    }


def _token_in(content: Record) -> KeptToken | None:
    """None where it cannot be understood whole: half of a policy might allow more than was meant."""
    created, token_id = time_in(content, "created_at"), text_in(content, "id")
    name, digest, own = text_in(content, "name"), text_in(content, "sha256"), content.get("own")
    ends = [(content.get(key), time_in(content, key)) for key in ("expires_at", "revoked_at")]
    lists: dict[str, Any] = {each: texts_in(content, each) for each in _LISTS}
    try:
        roles = roles_named(texts_in(content, "roles"))
    except ValueError:
        return None
    known = created and token_id and name and digest and isinstance(own, bool)
    if not known or any(said is not None and time is None for said, time in ends):
        return None
    assert created is not None
    return KeptToken(
        str(token_id),
        str(name),
        str(digest),
        AccessPolicy(roles, **lists, own=own is True),
        created,
        ends[0][1],
        ends[1][1],
    )
