"""Signing in to the page: with a link that works once, a token, or at a provider; who is behind a session."""

from __future__ import annotations

from datetime import timedelta

from task_queue.app.installation import Installation
from task_queue.app.oidc import oidc_caller, oidc_settings
from task_queue.app.oidc_sign_in import Identity
from task_queue.app.tokens import caller_behind, caller_with
from task_queue.domain.policy import EVERYTHING_ALLOWED, OWNER, Caller
from task_queue.store.page_sessions import PageSessions

SESSION_LASTS = timedelta(days=14)
LINK_LASTS = timedelta(minutes=5)
PROVIDER_SESSION_LASTS = timedelta(hours=12)
"""What a provider says of a person may change, and is not asked again."""
_AT_PROVIDER = "oidc "


def make_link(installation: Installation) -> str:
    """The secret of a link that signs the owner in once, within ``LINK_LASTS``. Raises ConfigError, OSError."""
    installation.demand_trust()
    return _sessions(installation).make_link(now=installation.now(), lasts=LINK_LASTS)


def sign_in_with_link(installation: Installation, secret: str) -> str | None:
    """The secret of a new session of the owner; None where the link was used or is too old. Raises OSError."""
    if not _sessions(installation).use_link(secret, now=installation.now()):
        return None
    return _sessions(installation).begin("", now=installation.now(), lasts=SESSION_LASTS)


def sign_in_with_token(installation: Installation, token: str) -> str | None:
    """The secret of a new session with the policy of *token*; None where it is not good.

    Raises TaskQueueError, OSError.
    """
    caller = caller_with(installation, token)
    if caller is None:
        return None
    return _sessions(installation).begin(caller.credential, now=installation.now(), lasts=SESSION_LASTS)


def sign_in_at_provider(installation: Installation, who: Identity) -> str:
    """The secret of a new session. Raises OSError."""
    credential = f"{_AT_PROVIDER}{who.policy}\n{who.subject}"
    return _sessions(installation).begin(credential, now=installation.now(), lasts=PROVIDER_SESSION_LASTS)


def signed_in(installation: Installation, secret: str) -> Caller | None:
    """Who has the session with *secret*; None once it, or its token, is not good any more.

    Raises TaskQueueError, OSError.
    """
    session = _sessions(installation).behind(secret, now=installation.now())
    if session is None:
        return None
    if not session.credential:
        return Caller(OWNER, EVERYTHING_ALLOWED)
    if session.credential.startswith(_AT_PROVIDER):
        policy, _, subject = session.credential.removeprefix(_AT_PROVIDER).partition("\n")
        settings = oidc_settings(installation)
        return None if settings is None else oidc_caller(settings, policy, subject)
    return caller_behind(installation, session.credential)


def sign_out(installation: Installation, secret: str) -> bool:
    """Whether the session began at a provider, which may still know its person. Raises OSError."""
    sessions, now = _sessions(installation), installation.now()
    session = sessions.behind(secret, now=now)
    sessions.end(secret, now=now)
    return session is not None and session.credential.startswith(_AT_PROVIDER)


def _sessions(installation: Installation) -> PageSessions:
    return PageSessions(installation.locations.page_sessions)
