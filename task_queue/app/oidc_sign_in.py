"""People sign in at an identity provider: the authorization code flow of OpenID Connect, with PKCE (RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from task_queue.app.installation import Installation
from task_queue.app.oidc import claims_of, oidc_settings, policy_name_for
from task_queue.domain.errors import TaskQueueError
from task_queue.platform import durable

if TYPE_CHECKING:
    from task_queue.config.api_settings import OidcSignIn

_TAKES_S = 10
_LARGEST = 2**20


@dataclass(frozen=True, slots=True)
class SignInTry:
    """What the browser keeps between leaving for the provider and coming back. Each is random."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> SignInTry:
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    def __str__(self) -> str:
        return f"{self.state}.{self.nonce}.{self.verifier}"

    @classmethod
    def read(cls, text: str) -> SignInTry | None:
        parts = text.split(".")
        return cls(*parts) if len(parts) == 3 and all(parts) else None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the provider says it is; ``policy`` is the name of one of the configuration."""

    subject: str
    policy: str


def can_sign_in(installation: Installation) -> bool:
    """Raises ConfigError."""
    settings = oidc_settings(installation)
    return settings is not None and settings.sign_in is not None


def address_to_sign_in(installation: Installation, tried: SignInTry, *, back_to: str) -> str:
    """Where the provider asks who it is. Raises TaskQueueError where people cannot sign in there."""
    setup = _setup(installation)
    challenge = (
        base64.urlsafe_b64encode(hashlib.sha256(tried.verifier.encode()).digest()).decode().rstrip("=")
    )
    asked = {
        "response_type": "code",
        "client_id": setup.client_id,
        "redirect_uri": back_to,
        "scope": setup.scopes,
        "state": tried.state,
        "nonce": tried.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return _with_query(setup.authorize_url, asked)


def address_to_sign_out(installation: Installation, *, back_to: str) -> str | None:
    """Where the provider ends its own session; None where the configuration names no such place."""
    settings = oidc_settings(installation)
    setup = settings.sign_in if settings is not None else None
    if setup is None or setup.end_session_url is None:
        return None
    asked = {"client_id": setup.client_id, "post_logout_redirect_uri": back_to}
    return _with_query(setup.end_session_url, asked)


def identity_behind(
    installation: Installation, tried: SignInTry, *, state: str, code: str, back_to: str
) -> Identity:
    """Who came back with *code*. Raises NotAllowedError where no policy is for it, TaskQueueError."""
    setup, settings = _setup(installation), oidc_settings(installation)
    assert settings is not None
    if not hmac.compare_digest(state.encode(), tried.state.encode()):
        raise TaskQueueError("the answer is not one to a question of this browser", hint="sign in again")
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back_to,
        "client_id": setup.client_id,
        "code_verifier": tried.verifier,
    }
    if setup.client_secret_file is not None:
        form["client_secret"] = durable.read_regular(setup.client_secret_file, limit=4096)[0].decode().strip()
    token = _asked(setup.token_url, form).get("id_token")
    claims = claims_of(settings, token) if isinstance(token, str) else None
    if claims is None or not hmac.compare_digest(str(claims.get("nonce")).encode(), tried.nonce.encode()):
        raise TaskQueueError("the provider's answer is not good", hint="sign in again")
    return Identity(str(claims["sub"]), policy_name_for(settings, claims))


def _with_query(url: str, asked: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urllib.parse.urlencode(asked)}"


def _setup(installation: Installation) -> OidcSignIn:
    settings = oidc_settings(installation)
    if settings is None or settings.sign_in is None:
        raise TaskQueueError(
            "the configuration names no provider at which people sign in", hint="set api.oidc.sign_in"
        )
    return settings.sign_in


def _asked(url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - the configuration takes https, and http on this machine, only
        url, urllib.parse.urlencode(form).encode(), {"Accept": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TAKES_S) as answer:  # noqa: S310 - the same
            content: object = json.loads(answer.read(_LARGEST))
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise TaskQueueError(
            f"the provider does not answer as expected: {error}", hint="try again"
        ) from error
    return cast("Mapping[str, Any]", content) if isinstance(content, dict) else {}
