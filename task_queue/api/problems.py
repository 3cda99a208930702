"""Errors as RFC 9457 problems. Each has a ``code`` that stays, and ``details`` for programs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from task_queue.api.settings import ServedApi
from task_queue.app.appending import EventNotKeptError, TooManyEventsError
from task_queue.app.claiming import (
    ClaimRefusedError,
    FramesMissingError,
    NotForWorkersError,
    ReportFaultError,
    UnknownClaimError,
)
from task_queue.app.duplicates import DuplicateTask
from task_queue.app.event_feed import UnknownEventTypeError
from task_queue.app.finding import GoneError, NotThereError, state_of
from task_queue.app.oidc import KeysUnavailableError
from task_queue.app.patching import DocumentChangedError, HashNeededError
from task_queue.app.submitting import KeyReusedError
from task_queue.app.task_elsewhere import TaskElsewhereError
from task_queue.app.tokens import UnknownTokenError
from task_queue.app.tracking import BadCursorError
from task_queue.domain.actions import ActionUnavailableError
from task_queue.domain.artifacts import ArtifactError
from task_queue.domain.errors import (
    AmbiguousTaskError,
    ConfigError,
    EngineUnavailable,
    GitError,
    QueueFull,
    TaskFileError,
    TaskMovedOn,
    TaskQueueError,
    UnknownTaskError,
)
from task_queue.domain.policy import NotAllowedError
from task_queue.domain.task import TaskId, TaskState

log = logging.getLogger(__name__)
_TRY_AGAIN_S = "30"
MEDIA_TYPE = "application/problem+json"
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
}
_STATUS: dict[type[TaskQueueError], tuple[int, str]] = {
    GoneError: (410, "gone"),
    NotThereError: (404, "no_such_file"),
    UnknownTaskError: (404, "task_not_found"),
    AmbiguousTaskError: (404, "task_not_found"),
    UnknownTokenError: (404, "token_not_found"),
    UnknownEventTypeError: (422, "invalid_request"),
    UnknownClaimError: (404, "claim_not_found"),
    BadCursorError: (400, "bad_cursor"),
    KeyReusedError: (422, "idempotency_key_reused"),
    QueueFull: (503, "queue_full"),
    DocumentChangedError: (412, "document_changed"),
    HashNeededError: (428, "if_match_needed"),
    TaskMovedOn: (409, "task_moved_on"),
    TaskFileError: (400, "invalid_task"),
    GitError: (409, "git_failed"),
    EventNotKeptError: (503, "disk_trouble"),
    EngineUnavailable: (503, "source_unavailable"),
    KeysUnavailableError: (503, "keys_unavailable"),
    ConfigError: (503, "configuration_unusable"),
}
_OF_ARTIFACTS = {
    "bad_name": 422,
    "bad_range": 400,
    "bad_digest": 400,
    "bad_claim": 400,
    "length_required": 411,
    "too_large": 413,
    "artifacts_full": 413,
    "unsupported_media_type": 415,
    "range_not_satisfiable": 416,
    "digest_mismatch": 422,
    "artifact_not_found": 404,
    "no_space": 507,
}
"""The others are conflicts."""


class ProblemError(Exception):
    """An answer that is a problem. *detail* is a sentence; *details* is for programs."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.details, self.headers = dict(details or {}), dict(headers or {})


def answer(problem: ProblemError) -> JSONResponse:
    return JSONResponse(
        content_of(problem), status_code=problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def content_of(problem: ProblemError) -> dict[str, Any]:
    return {
        "type": f"urn:task-queue:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "details": problem.details,
    }


def problem_of(error: TaskQueueError) -> ProblemError:
    """What the queue refused, for programs."""
    match error:
        case NotAllowedError():
            return ProblemError(403, error.code, error.in_full)
        case ArtifactError():
            status = _OF_ARTIFACTS.get(error.code, 409)
            return ProblemError(status, error.code, error.in_full, details=error.details)
        case ActionUnavailableError():
            ended = {"state": error.state.value, "action": error.action.value}
            return ProblemError(409, f"task_{error.state.value}", error.in_full, details=ended)
        case TaskFileError():
            faults = [
                {
                    "field": fault.keys[0] if fault.keys else None,
                    "line": fault.line,
                    "reason": fault.what,
                    "hint": fault.hint,
                }
                for fault in error.faults
            ]
            return ProblemError(400, "invalid_task", error.in_full, details={"errors": faults})
        case ClaimRefusedError():
            return ProblemError(409, error.refusal.value, error.in_full, details={"state": error.state})
        case FramesMissingError():
            missing = {"offset": error.offset, "state": TaskState.RUNNING.value}
            return ProblemError(409, "frames_missing", error.in_full, details=missing)
        case ReportFaultError():
            faults = [{"field": f"body.{error.field}", "reason": error.reason}]
            return ProblemError(422, "invalid_request", error.in_full, details={"errors": faults})
        case TooManyEventsError(wait_s=wait_s):
            headers = {"retry-after": str(ceil(wait_s))}
            return ProblemError(429, "too_many_events", error.in_full, headers=headers)
        case NotForWorkersError():
            return ProblemError(404, error.code, error.in_full)
        case DuplicateTask(first=first):
            state = TaskState.RUNNING if first.runs else TaskState.PENDING
            known = {"id": first.id, "state": state.value, "source": first.source}
            return ProblemError(409, "duplicate", error.in_full, details=known)
        case TaskElsewhereError(task=task):
            where: dict[str, str | None] = {
                "state": task.state.value,
                "source": task.source,
                "came_in_at": task.came_in_at,
                "host": task.host,
            }
            return ProblemError(404, "task_elsewhere", error.in_full, details=where)
        case _:
            kinds = (kind for kind in type(error).__mro__ if kind in _STATUS)
            status, code = _STATUS[next(kinds)] if _is_known(error) else (409, "refused")
            headers = {"retry-after": _TRY_AGAIN_S} if status == 503 else {}
            return ProblemError(status, code, error.in_full, headers=headers)


def _is_known(error: TaskQueueError) -> bool:
    return any(kind in _STATUS for kind in type(error).__mro__)


def _state_now(request: Request) -> dict[str, Any]:
    """The state of the task that the path names: why something does not work now."""
    task_id: object = request.path_params.get("task_id")
    if not isinstance(task_id, str):
        return {}
    served: ServedApi = request.app.state.served
    where = state_of(served.installation.again().sources(), TaskId(task_id))
    return {} if where is None else {"state": where[1].value}


def answer_with_problems(app: FastAPI) -> None:
    """Let every error of *app* be answered as a problem."""

    def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, TaskQueueError)
        problem = problem_of(error)
        if problem.status == 409:
            problem.details = _state_now(request) | problem.details
        return answer(problem)

    def raised(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ProblemError)
        return answer(error)

    def by_framework(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "error")
        detail = f"{HTTPStatus(error.status_code).phrase}: see /v1/openapi.json"
        return answer(ProblemError(error.status_code, code, detail, headers=error.headers))

    def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = [
            {"field": ".".join(str(part) for part in each["loc"]), "reason": each["msg"]}
            for each in error.errors()
        ]
        first = faults[0]
        detail = f"{first['field']}: {first['reason']}"
        return answer(ProblemError(422, "invalid_request", detail, details={"errors": faults}))

    def unreadable(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OSError)
        log.error("a file cannot be used path=%s error=%s", error.filename, error.strerror)
        return answer(ProblemError(503, "disk_trouble", f"a file cannot be used: {error.strerror}"))

    def defect(_: Request, error: Exception) -> JSONResponse:
        log.error("a defect of the API", exc_info=error)
        return answer(ProblemError(500, "defect", f"a defect of task-queue: {type(error).__name__}"))

    app.add_exception_handler(TaskQueueError, refused)
    app.add_exception_handler(ProblemError, raised)
    app.add_exception_handler(HTTPException, by_framework)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(OSError, unreadable)
    app.add_exception_handler(Exception, defect)
