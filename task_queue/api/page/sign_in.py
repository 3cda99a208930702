"""``/sign-in`` and ``/sign-out``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from task_queue.api.callers import InstallationNow, be_late
from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import ChangingVisitorNow, cookie_name, is_secure
from task_queue.app import signing_in
from task_queue.app.installation import Installation
from task_queue.app.oidc_sign_in import (
    SignInTry,
    address_to_sign_in,
    address_to_sign_out,
    can_sign_in,
    identity_behind,
)
from task_queue.domain.errors import TaskQueueError

router = APIRouter(include_in_schema=False)
_TRY = "task_queue_sign_in"
_TRY_LASTS_S = 600


@router.get("/sign-in")
def sign_in_page(
    request: Request, installation: InstallationNow, link: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    if link is None:
        return _door(request, installation)
    secret = signing_in.sign_in_with_link(installation, link)
    if secret is None:
        problem = "This link was used already, or is too old. Make a new one with: task-queue web"
        return _door(request, installation, problem)
    return _signed_in(request, secret)


@router.post("/sign-in")
async def sign_in(
    request: Request, installation: InstallationNow, token: Annotated[str, Form(max_length=300)] = ""
) -> Response:
    secret = await run_in_threadpool(signing_in.sign_in_with_token, installation, token.strip())
    if secret is None:
        await be_late(request)
        problem = "This token is wrong, revoked or expired."
        return await run_in_threadpool(_door, request, installation, problem)
    return _signed_in(request, secret)


@router.get("/sign-in/provider")
def to_provider(request: Request, installation: InstallationNow) -> Response:
    tried = SignInTry.new()
    address = address_to_sign_in(installation, tried, back_to=_back_to(request))
    answer = RedirectResponse(address, 303)
    # Lax: the provider's answer comes from another site.
    answer.set_cookie(
        _TRY, str(tried), max_age=_TRY_LASTS_S, secure=is_secure(request), httponly=True, samesite="lax"
    )
    return answer


@router.get("/sign-in/back")
def from_provider(
    request: Request,
    installation: InstallationNow,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
) -> Response:
    tried = SignInTry.read(request.cookies.get(_TRY, ""))
    if tried is None or not code:
        return _door(request, installation, "The provider did not say who you are. Sign in again.")
    try:
        who = identity_behind(installation, tried, state=state, code=code, back_to=_back_to(request))
    except (TaskQueueError, OSError) as error:
        return _door(request, installation, str(error))
    secret = signing_in.sign_in_at_provider(installation, who)
    # Not a redirect: a browser sends no strict cookie with what another site has led to.
    answer = page(request, "signed_in.html", None)
    answer.delete_cookie(_TRY)
    return _with_session(request, answer, secret, lasts=signing_in.PROVIDER_SESSION_LASTS)


@router.post("/sign-out")
def sign_out(request: Request, installation: InstallationNow, _visitor: ChangingVisitorNow) -> Response:
    was_at_provider = signing_in.sign_out(installation, request.cookies.get(cookie_name(request), ""))
    door = _address(request, "/sign-in")
    there = address_to_sign_out(installation, back_to=door) if was_at_provider else None
    answer: Response = RedirectResponse("/sign-in", 303)
    if there is not None:
        answer = page(request, "signed_out.html", None, there=there)
    answer.delete_cookie(cookie_name(request), secure=is_secure(request), httponly=True, samesite="strict")
    return answer


def _door(request: Request, installation: Installation, problem: str = "") -> Response:
    status = 403 if problem else 200
    at_provider = can_sign_in(installation)
    return page(request, "sign_in.html", None, status=status, problem=problem, at_provider=at_provider)


def _back_to(request: Request) -> str:
    return _address(request, "/sign-in/back")


def _address(request: Request, path: str) -> str:
    scheme = "https" if is_secure(request) else "http"
    return f"{scheme}://{request.headers.get('host', '')}{path}"


def _signed_in(request: Request, secret: str) -> Response:
    return _with_session(request, RedirectResponse("/", 303), secret, lasts=signing_in.SESSION_LASTS)


def _with_session(request: Request, answer: Response, secret: str, *, lasts: timedelta) -> Response:
    answer.set_cookie(
        cookie_name(request),
        secret,
        max_age=int(lasts.total_seconds()),
        secure=is_secure(request),
        httponly=True,
        samesite="strict",
    )
    return answer
