"""All of the page; where a browser without a session is led; refusals for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from task_queue.api.page import (
    actions,
    adding,
    assets,
    board,
    bulk,
    diff,
    machine,
    past,
    plans,
    sign_in,
    task,
    task_events,
)
from task_queue.api.page.live import LiveParts
from task_queue.api.page.refusals import as_page, for_people, refusal, typed_in
from task_queue.api.page.visitors import SignInNeededError
from task_queue.api.problems import ProblemError
from task_queue.domain.errors import TaskQueueError

_REFUSALS = (TaskQueueError, ProblemError, HTTPException, RequestValidationError, OSError, Exception)
_Handler = Callable[[Request, Any], Response | Awaitable[Response]]


def add_page(app: FastAPI) -> None:
    app.state.live_parts = LiveParts()
    router = APIRouter(include_in_schema=False)
    for part in (
        assets,
        board,
        task,
        task_events,
        diff,
        actions,
        plans,
        adding,
        past,
        bulk,
        machine,
        sign_in,
    ):
        router.include_router(part.router)
    app.include_router(router)
    app.add_exception_handler(SignInNeededError, _to_sign_in)
    for kind in _REFUSALS:
        for_programs = app.exception_handlers[kind]
        app.add_exception_handler(kind, partial(_refused, for_programs))


async def _to_sign_in(request: Request, _error: Exception) -> Response:
    if request.url.path.startswith("/live"):
        return Response(status_code=401)
    typed = await typed_in(request)
    if typed:
        problem = ProblemError(401, "signed_out", "your session has ended, so nothing was done")
        return refusal(request, problem, typed=typed)
    return RedirectResponse("/sign-in", 303)


async def _refused(for_programs: _Handler, request: Request, error: Exception) -> Response:
    """The same problem that a program gets, as a page for who looks at pages."""
    answer = for_programs(request, error)
    assert isinstance(answer, Response)  # as all of ``problems`` are
    return await as_page(request, answer) if for_people(request) else answer
