"""The application: its operations, its errors, its description."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import FastAPI

from task_queue import __version__
from task_queue.api import (
    appending,
    artifacts,
    bulk,
    claims,
    events,
    files,
    health,
    mcp,
    pages,
    sources,
    tasks,
    tokens,
    views,
)
from task_queue.api.description import PROBLEMS, description_of
from task_queue.api.page.router import add_page
from task_queue.api.problems import answer_with_problems
from task_queue.api.settings import ServedApi

_DESCRIPTION = """Submit, watch and steer the tasks of a task-queue.

Errors are problems of RFC 9457 (`application/problem+json`) with a `code` that stays and `details` for programs.
Times are ISO 8601 with offset, money is in US dollars."""


def application(served: ServedApi) -> FastAPI:
    app = FastAPI(
        title="task-queue",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.served = served
    answer_with_problems(app)
    for operations in (
        health,
        bulk,
        tasks,
        files,
        artifacts,
        events,
        appending,
        claims,
        sources,
        tokens,
        views,
    ):
        app.include_router(operations.router, responses=PROBLEMS)
    app.include_router(pages.router)
    add_page(app)
    app.include_router(mcp.router)
    app.openapi = partial(_described, app)  # type: ignore[method-assign] # as FastAPI documents it
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """Made once."""
    if app.openapi_schema is None:
        app.openapi_schema = description_of(app)
    return app.openapi_schema
