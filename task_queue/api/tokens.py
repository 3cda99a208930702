"""``/v1/tokens``: for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from task_queue.api.callers import CallerNow, InstallationNow
from task_queue.api.paths import TokenPath
from task_queue.api.problems import ProblemError
from task_queue.app import tokens
from task_queue.app.tokens import CreatedToken, TokensView, TokenView
from task_queue.domain.policy import AccessPolicy, AccessRole

router = APIRouter(tags=["tokens"])
_Names = Annotated[tuple[Annotated[str, Field(max_length=300)], ...], Field(max_length=1000)]


class TokenRequest(BaseModel):
    """A new token and its policy. An empty list allows nothing, `*` everything."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "ci",
                    "roles": ["submit"],
                    "sources": ["ad-hoc"],
                    "repositories": ["*"],
                    "types": ["*"],
                    "executors": ["claude"],
                    "own": True,
                    "expires": "90d",
                }
            ]
        },
    )
    name: Annotated[str, Field(max_length=64)]
    """Lower-case letters, digits, `.`, `_` and `-`; tasks keep it as `submitted_by`."""
    roles: Annotated[tuple[AccessRole, ...], Field(min_length=1, max_length=5)]
    """What it may do."""
    sources: _Names = ()
    """Ids."""
    repositories: _Names = ()
    """URLs, or host, owner and name."""
    types: _Names = ()
    """Of work."""
    capabilities: _Names = ()
    """That tasks may ask for."""
    executors: _Names = ()
    """That may carry tasks out."""
    own: bool = False
    """Only what it submitted itself."""
    expires: Annotated[str, Field(max_length=40)] | None = None
    """After how long, such as `90d`."""


@router.post("/v1/tokens", status_code=201)
def create_token(body: TokenRequest, installation: InstallationNow, caller: CallerNow) -> CreatedToken:
    """Make a token. Its text is in this answer only."""
    caller.demand(AccessRole.ADMIN)
    try:
        expires = None if body.expires is None else tokens.expiry_after(body.expires, installation.now())
    except ValueError as error:
        faults = {"errors": [{"field": "body.expires", "reason": str(error)}]}
        raise ProblemError(422, "invalid_request", f"expires: {error}", details=faults) from None
    policy = AccessPolicy(
        body.roles,
        body.sources,
        body.repositories,
        body.types,
        body.capabilities,
        body.executors,
        own=body.own,
    )
    return tokens.create_token(installation, body.name, policy, expires=expires)


@router.get("/v1/tokens")
def list_tokens(installation: InstallationNow, caller: CallerNow) -> TokensView:
    """Every token, with its policy and when it was used last."""
    caller.demand(AccessRole.ADMIN)
    return tokens.list_tokens(installation)


@router.delete("/v1/tokens/{token_id}")
def revoke_token(token_id: TokenPath, installation: InstallationNow, caller: CallerNow) -> TokenView:
    """From this answer on, the token is refused."""
    caller.demand(AccessRole.ADMIN)
    return tokens.revoke_token(installation, token_id)
