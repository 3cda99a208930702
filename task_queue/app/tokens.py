"""Tokens for the API: create, list, revoke; who is behind one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.domain.document.readers import Duration
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.policy import AccessPolicy, Caller, is_caller_name
from task_queue.store.tokens import KeptToken, Tokens, UnknownTokenError

__all__ = [
    "CreatedToken",
    "TokenView",
    "TokensView",
    "UnknownTokenError",
    "caller_with",
    "create_token",
    "expiry_after",
    "is_still_good",
    "list_tokens",
    "revoke_token",
]

SCHEMA_VERSION = 1


@dataclass(eq=False, repr=False, slots=True)
class TokenView:
    """One token, without what is secret in it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    id: str
    """To revoke it."""
    name: str
    """Tasks that it submits keep it as `submitted_by`."""
    roles: tuple[str, ...]
    """What it may do."""
    sources: tuple[str, ...]
    """An empty list allows nothing, `*` everything; so do the lists that follow."""
    repositories: tuple[str, ...]
    """Host, owner and name."""
    types: tuple[str, ...]
    """Of work."""
    capabilities: tuple[str, ...]
    """That tasks ask for."""
    executors: tuple[str, ...]
    """That carry tasks out."""
    own: bool
    """Only what it submitted itself."""
    created_at: datetime
    """When it was made."""
    expires_at: datetime | None
    """Null: never."""
    revoked_at: datetime | None
    """Null while it is not."""
    last_used_at: datetime | None
    """To the minute."""
    good: bool
    """Neither revoked nor expired."""


@dataclass(eq=False, repr=False, slots=True)
class CreatedToken:
    """`token` is shown once, and kept nowhere."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    id: str
    """To revoke it."""
    token: str
    """For the header `Authorization: Bearer`."""
    name: str
    """Tasks that it submits keep it as `submitted_by`."""
    expires_at: datetime | None
    """Null: never."""
    allows_nothing: tuple[str, ...] = ()
    """Lists of its policy that are empty, so that it sees no task."""
    schema_version: int = SCHEMA_VERSION
    """Of this answer."""


@dataclass(eq=False, repr=False, slots=True)
class TokensView:
    """Every token, in the order in which they were made."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    tokens: tuple[TokenView, ...] = field(default_factory=tuple[TokenView, ...])
    """Also those that are good no more."""
    schema_version: int = SCHEMA_VERSION
    """Of this answer."""


def create_token(
    installation: Installation, name: str, policy: AccessPolicy, *, expires: datetime | None = None
) -> CreatedToken:
    """Raises TaskQueueError if the name cannot be used, or was; ConfigError, OSError."""
    installation.demand_trust()
    if not is_caller_name(name):
        raise TaskQueueError(
            f"'{name}' cannot be the name of a token",
            hint="use up to 64 lower-case letters, digits, '.', '_' and '-', beginning with a letter or a digit",
        )
    kept, text = _tokens(installation).create(name, policy, now=installation.now(), expires_at=expires)
    record_action(installation, "tokens create", token=kept.id, name=name)
    return CreatedToken(kept.id, text, name, expires, policy.allows_nothing)


def list_tokens(installation: Installation) -> TokensView:
    """Raises TaskQueueError if they cannot be read, OSError."""
    now = installation.now()
    return TokensView(tuple(_view(kept, now) for kept in _tokens(installation).all()))


def revoke_token(installation: Installation, named: str) -> TokenView:
    """By its id or name; from now on it is refused. Raises UnknownTokenError, ConfigError, OSError."""
    installation.demand_trust()
    kept = _tokens(installation).revoke(named, now=installation.now())
    record_action(installation, "tokens revoke", token=kept.id)
    return _view(kept, installation.now())


def caller_with(installation: Installation, token: str) -> Caller | None:
    """Who has *token*; None if it is not one, or not good any more. Raises TaskQueueError, OSError."""
    now = installation.now()
    kept = _tokens(installation).behind(token, now=now)
    if kept is None:
        return None
    _tokens(installation).note_use(kept.id, now)
    return Caller(kept.name, kept.policy, kept.id)


def caller_behind(installation: Installation, token_id: str) -> Caller | None:
    """Who has the token *token_id*; None if it is not good any more. Raises TaskQueueError, OSError."""
    now = installation.now()
    kept = next((each for each in _tokens(installation).all() if each.id == token_id), None)
    return Caller(kept.name, kept.policy, kept.id) if kept is not None and kept.is_good(now) else None


def is_still_good(installation: Installation, caller: Caller) -> bool:
    """Whether the token of *caller* was neither revoked nor has expired since. Raises TaskQueueError, OSError."""
    if caller.good_until is not None and installation.now() >= caller.good_until:
        return False
    return not caller.credential or _tokens(installation).is_good(caller.credential, now=installation.now())


def expiry_after(text: str, now: datetime) -> datetime:
    """The moment after *text*, such as ``90d``. Raises ValueError."""
    span = Duration(timedelta(seconds=1), timedelta(days=3650))(text)
    assert isinstance(span, timedelta)
    return now + span


def _tokens(installation: Installation) -> Tokens:
    return Tokens(installation.locations.tokens)


def _view(kept: KeptToken, now: datetime) -> TokenView:
    policy = kept.policy
    return TokenView(
        kept.id,
        kept.name,
        policy.roles,
        policy.sources,
        policy.repositories,
        policy.types,
        policy.capabilities,
        policy.executors,
        policy.own,
        kept.created_at,
        kept.expires_at,
        kept.revoked_at,
        kept.last_used_at,
        kept.is_good(now),
    )
