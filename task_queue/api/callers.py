"""Who asks: the owner over the unix socket, or who has a token. A wrong credential is answered late."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Annotated, cast

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from task_queue.api.problems import ProblemError
from task_queue.api.settings import PEER, ServedApi
from task_queue.app.installation import Installation
from task_queue.app.oidc import caller_of_jwt
from task_queue.app.tokens import caller_with
from task_queue.app.tracking import KeptDocuments
from task_queue.domain.policy import EVERYTHING_ALLOWED, OWNER, Caller

BEARER = HTTPBearer(auto_error=False, description="A token from `task-queue tokens create`.")


def served(request: Request) -> ServedApi:
    return cast("ServedApi", request.app.state.served)


def installation_of(request: Request) -> Installation:
    """The configuration and the files as they stand now."""
    return served(request).installation.again()


async def known_caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Caller | None:
    """None without any credential; a wrong one is refused."""
    if request.scope.get(PEER) == os.geteuid():
        return Caller(OWNER, EVERYTHING_ALLOWED)
    if credentials is None:
        if "authorization" in request.headers:
            await _refuse(request)
        return None
    installation, token = installation_of(request), credentials.credentials
    caller = await run_in_threadpool(caller_with, installation, token)
    if caller is None and token.count(".") == 2:
        # In few threads of its own: the provider may be slow, and other requests are not to wait for it.
        limiter = served(request).provider_threads
        caller = await to_thread.run_sync(caller_of_jwt, installation, token, limiter=limiter)
    if caller is None:
        await _refuse(request)
    return caller


async def caller(known: Annotated[Caller | None, Depends(known_caller)]) -> Caller:
    if known is None:
        raise _unauthorized("a credential is needed, in the header Authorization: Bearer")
    return known


async def _refuse(request: Request) -> None:
    await be_late(request)
    raise _unauthorized("the credential is wrong, revoked or expired")


async def be_late(request: Request) -> None:
    """Before a wrong credential is answered: the longer, the more often that address had one."""
    failures = served(request).failures
    await asyncio.sleep(failures.delay_after(_address(request), time.monotonic()))


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(401, "unauthorized", detail, headers={"www-authenticate": "Bearer"})


def _address(request: Request) -> str:
    """Behind a proxy, the address that it saw itself: the last one in the header, which no other machine writes."""
    told = request.headers.get("x-forwarded-for", "") if served(request).settings.behind_proxy else ""
    return told.rpartition(",")[2].strip() or (request.client.host if request.client else "")


def _kept(request: Request) -> KeptDocuments:
    return served(request).kept


KeptNow = Annotated[KeptDocuments, Depends(_kept)]
KnownCaller = Annotated[Caller | None, Depends(known_caller)]
CallerNow = Annotated[Caller, Depends(caller)]
InstallationNow = Annotated[Installation, Depends(installation_of)]
