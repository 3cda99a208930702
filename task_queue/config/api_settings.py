"""The section ``api`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from task_queue.config.section import MOST_MB, AbsolutePath, Section
from task_queue.domain.listening import UNIX, tcp_address


def _address(text: str) -> str:
    tcp_address(text)
    return text


class TlsSettings(Section):
    """Files in PEM form."""

    certificate: AbsolutePath
    key: AbsolutePath


class PolicySettings(Section):
    """What who has a claim may do; an empty list allows nothing, ``*`` everything."""

    roles: Annotated[tuple[Literal["read", "submit", "work", "operate", "admin"], ...], Field(min_length=1)]
    sources: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    executors: tuple[str, ...] = ()
    own: bool = False


_HttpsUrl = Annotated[str, Field(pattern=r"^https://|^http://(127\.0\.0\.1|localhost)[:/]")]


class OidcSignIn(Section):
    """How people sign in to the page at the provider: the code flow, with PKCE."""

    client_id: Annotated[str, Field(min_length=1)]
    client_secret_file: AbsolutePath | None = None
    """Of a confidential client."""
    authorize_url: _HttpsUrl
    token_url: _HttpsUrl
    end_session_url: _HttpsUrl | None = None
    """Where people are led who sign out, if they want to be signed out at the provider, too."""
    scopes: str = "openid profile groups"


class OidcSettings(Section):
    """An identity provider whose tokens are accepted."""

    issuer: str
    audience: str
    jwks_url: _HttpsUrl | None = None
    jwks_file: AbsolutePath | None = None
    algorithms: Annotated[
        tuple[Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"], ...],
        Field(min_length=1),
    ] = ("RS256", "ES256")
    leeway_s: Annotated[float, Field(ge=0, le=300)] = 30.0
    claim: str = "groups"
    policies: dict[str, PolicySettings]
    """By the value of the claim."""
    sign_in: OidcSignIn | None = None
    """For people; ``audience`` is then the client id."""

    @model_validator(mode="after")
    def _one_place(self) -> OidcSettings:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("needs either 'jwks_url' or 'jwks_file'")
        return self


class ApiSettings(Section):
    """The HTTP API. The daemon starts it where the configuration has this section."""

    listen: tuple[Annotated[str, AfterValidator(_address)], ...] = (UNIX,)
    """``unix``, or an address and a port."""
    tls: TlsSettings | None = None
    """For every address but the unix socket."""
    behind_proxy: bool = False
    """A proxy in front of it encrypts, and says in X-Forwarded-For who asks."""
    oidc: OidcSettings | None = None
    hosts: tuple[str, ...] = ()
    """Names by which it is reached, besides this machine's and those in ``listen``."""
    artifact_mb: Annotated[int, Field(ge=1, le=MOST_MB)] = 256
    """What one file may have that is handed in with a task."""
    artifacts_mb: Annotated[int, Field(ge=1, le=MOST_MB)] = 1024
    """The same for all of one task together."""
