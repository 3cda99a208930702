"""Who is behind a token of an identity provider (OIDC): signature, issuer, audience and time are checked here.

The algorithms are those of the configuration, and each needs a public key: what a token says of itself is not asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import jwt

from task_queue.app.installation import Installation
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.policy import AccessPolicy, Caller, NotAllowedError, roles_named
from task_queue.platform import durable

if TYPE_CHECKING:
    from task_queue.config.api_settings import OidcSettings

_LARGEST = 2**20
_KEYS_KEPT_S = 300
_FETCH_S = 5
_MOST_FETCHES = 5
_WHILE_S = 60.0
_NEEDED = ["exp", "iss", "aud", "sub"]


class KeysUnavailableError(TaskQueueError):
    """The keys of the identity provider cannot be had."""


def caller_of_jwt(installation: Installation, token: str) -> Caller | None:
    """None where no provider is configured, or the token is not good.

    Raises NotAllowedError where it is, and no policy is for it; KeysUnavailableError.
    """
    settings = oidc_settings(installation)
    claims = None if settings is None else claims_of(settings, token)
    if settings is None or claims is None:
        return None
    caller = oidc_caller(settings, policy_name_for(settings, claims), str(claims["sub"]))
    return None if caller is None else replace(caller, good_until=_end_of(settings, claims))


def oidc_settings(installation: Installation) -> OidcSettings | None:
    """Raises ConfigError."""
    api = installation.config.api
    return None if api is None else api.oidc


def claims_of(settings: OidcSettings, token: str) -> Mapping[str, Any] | None:
    """What a good *token* says; None if it is not good. Raises KeysUnavailableError."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            _key_for(settings, token),
            algorithms=list(settings.algorithms),
            issuer=settings.issuer,
            audience=settings.audience,
            leeway=timedelta(seconds=settings.leeway_s),
            options={"require": _NEEDED},
        )
        _end_of(settings, claims)
    except (jwt.PyJWTError, OverflowError, ValueError, OSError):
        return None
    return claims


def policy_name_for(settings: OidcSettings, claims: Mapping[str, Any]) -> str:
    """The first value of the claim, in the order of the configuration, that has a policy. Raises NotAllowedError."""
    said: object = claims.get(settings.claim)
    values = cast("list[object]", said) if isinstance(said, list) else [said]
    for value in settings.policies:
        if value in values:
            return value
    raise NotAllowedError(f"no policy is for what the claim '{settings.claim}' says", code="no_policy")


def oidc_caller(settings: OidcSettings, policy_name: str, subject: str) -> Caller | None:
    """None where the configuration has no policy of that name any more."""
    policy = settings.policies.get(policy_name)
    if policy is None:
        return None
    return Caller(
        f"oidc:{subject}",
        AccessPolicy(
            roles_named(policy.roles),
            policy.sources,
            policy.repositories,
            policy.types,
            policy.capabilities,
            policy.executors,
            own=policy.own,
        ),
    )


def _end_of(settings: OidcSettings, claims: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(claims["exp"]), UTC) + timedelta(seconds=settings.leeway_s)


def _key_for(settings: OidcSettings, token: str) -> jwt.PyJWK:
    """The key that signed *token*, by its id. Raises PyJWTError, KeysUnavailableError."""
    if settings.jwks_url is not None:
        try:
            return _client(settings.jwks_url).get_signing_key_from_jwt(token)
        except jwt.PyJWKClientConnectionError as error:
            raise KeysUnavailableError(
                f"the keys at {settings.jwks_url} cannot be fetched: {error}"
            ) from error
    assert settings.jwks_file is not None
    try:
        data, _ = durable.read_regular(settings.jwks_file, limit=_LARGEST)
        keys = jwt.PyJWKSet.from_dict(json.loads(data))
    except (OSError, ValueError, jwt.PyJWTError) as error:
        raise KeysUnavailableError(f"{settings.jwks_file} cannot be used: {error}") from error
    key_id: object = jwt.get_unverified_header(token).get("kid")
    for key in keys.keys:
        if key.key_id == key_id:
            return key
    raise jwt.InvalidKeyError("no key has that id")


@lru_cache(maxsize=8)
def _client(url: str) -> SparingClient:
    return SparingClient(url)


class SparingClient(jwt.PyJWKClient):
    """Keeps the keys for a while, and fetches them again for an id that is not among them.

    Anyone can make up such ids: so that they neither flood the provider nor fill the threads with waiting for it, only
    a few fetches are made in a while.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, lifespan=_KEYS_KEPT_S, timeout=_FETCH_S)
        self._fetched: deque[float] = deque(maxlen=_MOST_FETCHES)
        self._guard = threading.Lock()

    def fetch_data(self) -> Any:
        with self._guard:
            now = time.monotonic()
            if len(self._fetched) == _MOST_FETCHES and now - self._fetched[0] < _WHILE_S:
                raise jwt.InvalidKeyError("the keys were fetched too often just now")
            self._fetched.append(now)
        return super().fetch_data()
