"""The application: its operations, its errors, its description."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from task_queue import __version__
from task_queue.api import artifacts, claims, events, files, health, pages, sources, tasks, tokens
from task_queue.api.problems import MEDIA_TYPE, answer_with_problems
from task_queue.api.settings import ServedApi

_DESCRIPTION = """Submit, watch and steer the tasks of a task-queue.

Errors are problems of RFC 9457 (`application/problem+json`) with a `code` that stays and `details` for programs.
Times are ISO 8601 with offset, money is in US dollars."""
_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "What went wrong, for people and for programs.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "details"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for people."},
        "code": {"type": "string", "description": "For programs; stays the same between releases."},
        "details": {"type": "object", "additionalProperties": True},
    },
    "examples": [
        {
            "type": "urn:task-queue:problem:task_running",
            "title": "Conflict",
            "status": 409,
            "detail": "task task-20260207-120000-fix-login is running",
            "code": "task_running",
            "details": {"state": "running", "action": "cancel"},
        }
    ],
}
_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused.", "content": _CONTENT},
    "5XX": {"description": "Not possible now.", "content": _CONTENT},
    422: {"description": "A field is wrong.", "content": _CONTENT},
}


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
    for operations in (health, tasks, files, artifacts, events, claims, sources, tokens):
        app.include_router(operations.router, responses=_PROBLEMS)
    app.include_router(pages.router)
    app.openapi = partial(_described, app)  # type: ignore[method-assign] # as FastAPI documents it
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, with our problems in the place of its own errors; made once."""
    if app.openapi_schema is None:
        content = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = content["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = _PROBLEM
        app.openapi_schema = content
    return app.openapi_schema
