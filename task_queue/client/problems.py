"""What a client raises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from task_queue.domain.errors import TaskQueueError

_LONGEST_DETAIL = 300


class Unreachable(TaskQueueError):  # noqa: N818 - what is so, not what went wrong
    """There was no answer. ``maybe_done``: False if nothing was sent, so that nothing can have changed."""

    def __init__(self, message: str, *, maybe_done: bool) -> None:
        super().__init__(message)
        self.maybe_done = maybe_done


class ApiError(TaskQueueError):
    """The server's answer is a problem. ``code`` is for programs and stays the same between releases.

    ``retry_after_s``: when to try again at the earliest, if the server said so.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s


def problem_in(status: int, headers: Mapping[str, str], data: bytes) -> ApiError:
    """Of an answer that is not what was asked for, also if a proxy made it."""
    after = headers.get("retry-after", "")
    retry_after_s = float(after) if after.isascii() and after.isdecimal() else None
    try:
        content: Any = json.loads(data)
        code, detail, details = str(content["code"]), str(content["detail"]), dict(content["details"])
    except (ValueError, TypeError, KeyError):
        code, detail, details = f"http_{status}", _told(status, data), {}
    return ApiError(status, code, detail, details=details, retry_after_s=retry_after_s)


def unexpected(status: int, why: str) -> ApiError:
    """For a good answer that cannot be read."""
    return ApiError(
        status, "unexpected_answer", f"the answer is not one of this API: {why[:_LONGEST_DETAIL]}"
    )


def _told(status: int, data: bytes) -> str:
    known = status in HTTPStatus.__members__.values()
    phrase = HTTPStatus(status).phrase if known else "unknown status"
    text = " ".join(data[: 4 * _LONGEST_DETAIL].decode(errors="replace").split())
    return f"{status} {phrase}: {text[:_LONGEST_DETAIL]}" if text else f"{status} {phrase}"
