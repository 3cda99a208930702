"""Refused before an operation sees it: other hosts, other sites, bodies that are not JSON, huge or slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from contextlib import suppress
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from task_queue.api.page.refusals import for_people, refusal
from task_queue.api.problems import ProblemError, answer
from task_queue.domain.listening import host_in

LARGEST_BODY = 2 * 2**20
_BODY_TAKES_S = 30.0
_REST_TAKES_S = 1.0
_DISCARDED = 16 * 2**20
_PROGRAMS = ("/v1", "/mcp")
"""Their bodies are JSON; those of the page are forms."""
_FORM, _FORM_WITH_FILES = "application/x-www-form-urlencoded", "multipart/form-data"
_TAKES_FILES = "/add"
_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_SAFE_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


class RequestGuard:
    """*hosts*: the names by which the API may be reached; None where no browser can, so that each is good."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                extra = [header for header in _SAFE_HEADERS if header[0] not in given]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._demand_host(headers)
            if scope["method"] in _CHANGES:
                self._demand_same_site(headers)
            streamed = scope["method"] == "PUT" and "/artifacts/" in scope["path"]
            body = receive if streamed else await _checked_body(scope["path"], headers, receive)
        except ProblemError as problem:
            request = Request(scope)
            refused = refusal(request, problem) if for_people(request) else answer(problem)
            await refused(scope, receive, sent)
            return
        await self._app(scope, body, sent)

    def _demand_host(self, headers: dict[str, str]) -> None:
        host = host_in(headers.get("host", ""))
        if self._hosts is not None and host not in self._hosts:
            raise ProblemError(
                421,
                "host_not_allowed",
                f"the API is not reached by the name '{host[:100]}'; api.hosts in the configuration lists more names",
            )

    def _demand_same_site(self, headers: dict[str, str]) -> None:
        """A page of another site must not change anything with what its visitor's browser can reach."""
        site, origin = headers.get("sec-fetch-site", "none"), headers.get("origin")
        own = f"//{headers.get('host', '')}"
        if site not in {"none", "same-origin"} or (
            origin is not None and f"//{origin.partition('://')[2]}".lower() != own.lower()
        ):
            raise ProblemError(403, "cross_site", "the request comes from a page of another site")


async def _checked_body(path: str, headers: dict[str, str], receive: Receive) -> Receive:
    """Reads the body, if there is any, and gives it to who asks: JSON for programs, for the page a form."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LARGEST_BODY:
        await _refuse_size(receive)
    has_body = length != "0" or "transfer-encoding" in headers
    data, gone = await _whole(receive) if has_body else (b"", False)
    if data:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        is_for_programs = path.startswith(_PROGRAMS)
        wanted = "application/json" if is_for_programs else _FORM
        if kind != wanted and not (path == _TAKES_FILES and kind == _FORM_WITH_FILES):
            raise ProblemError(415, "unsupported_media_type", f"the body must be {wanted}")
        if is_for_programs:
            _demand_json(data)
        elif kind == _FORM:
            _demand_utf8(data)
    given = False

    async def once() -> Message:
        nonlocal given
        if gone or given:
            return await receive()
        given = True
        return {"type": "http.request", "body": data, "more_body": False}

    return once


async def _whole(receive: Receive) -> tuple[bytes, bool]:
    """The body, and whether who sent it has gone."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_TAKES_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return b"", True
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > LARGEST_BODY:
                    await _refuse_size(receive)
                if not message.get("more_body", False):
                    return b"".join(parts), False
    except TimeoutError:
        raise ProblemError(
            408,
            "too_slow",
            f"the body did not arrive within {_BODY_TAKES_S:g} s",
            headers={"connection": "close"},
        ) from None


def _demand_json(data: bytes) -> None:
    def no_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        json.loads(data.decode(), parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ProblemError(400, "invalid_json", f"the body is not JSON: {reason}") from None


def _demand_utf8(form: bytes) -> None:
    """What is not would reach a task with other characters in its place."""
    try:
        unquote_to_bytes(form).decode()
    except UnicodeDecodeError:
        raise ProblemError(400, "not_utf8", "the form has text that is not UTF-8") from None


async def discard_rest(receive: Receive) -> None:
    """Read some of what is left of a refused body: a client that still sends would never see the answer."""
    discarded = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_REST_TAKES_S):
            while discarded < _DISCARDED and (message := await receive())["type"] == "http.request":
                discarded += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break


async def _refuse_size(receive: Receive) -> NoReturn:
    await discard_rest(receive)
    raise ProblemError(
        413,
        "too_large",
        f"the body may have at most {LARGEST_BODY:,} bytes",
        headers={"connection": "close"},
    )
