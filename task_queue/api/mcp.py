"""``/mcp``: the Model Context Protocol over Streamable HTTP, and the metadata by which its clients find the login.

Each request is served by itself, with the tools of its own caller: no session outlives a token.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from task_queue.api.callers import BEARER, InstallationNow, KeptNow, caller, known_caller, served
from task_queue.api.problems import ProblemError
from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments
from task_queue.domain.policy import Caller

router = APIRouter(include_in_schema=False)
_PATH = "/mcp"
_METADATA = "/.well-known/oauth-protected-resource"


async def _speaker(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Caller:
    """As of the other operations; who has no good credential hears where the metadata is."""
    try:
        return await caller(await known_caller(request, credentials))
    except ProblemError as problem:
        if problem.status == 401:
            where = f"{_origin(request)}{_METADATA}{_PATH}"
            problem.headers["www-authenticate"] = f'Bearer resource_metadata="{where}"'
        raise


@router.post(_PATH)
async def speak(
    installation: InstallationNow, kept: KeptNow, speaker: Annotated[Caller, Depends(_speaker)]
) -> Response:
    """One message of a client. There is no stream to listen on, so only POST is answered."""
    return _Spoken(installation, speaker, kept)


@router.get(_METADATA)
@router.get(f"{_METADATA}{_PATH}")
async def metadata(request: Request) -> JSONResponse:
    """Of RFC 9728; open to everyone."""
    oidc = served(request).settings.oidc
    content = {
        "resource": f"{_origin(request)}{_PATH}",
        "resource_name": "task-queue",
        "bearer_methods_supported": ["header"],
    }
    if oidc is not None:
        content["authorization_servers"] = [oidc.issuer]
    return JSONResponse(content)


class _Spoken(Response):
    def __init__(self, installation: Installation, caller: Caller, kept: KeptDocuments) -> None:
        super().__init__()
        self._installation, self._caller, self._kept = installation, caller, kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # In a thread: it takes half a second, for which no other request should wait.
        once = await run_in_threadpool(import_module, "task_queue.mcp.once")
        await once.answer_once(self._installation, self._caller, self._kept, (scope, receive, send))


def _origin(request: Request) -> str:
    settings = served(request).settings
    scheme = "https" if settings.behind_proxy or settings.tls is not None else "http"
    return f"{scheme}://{request.headers.get('host', 'localhost')}"
