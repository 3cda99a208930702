"""Refusals as pages: what was refused, where, what to do now, and what must not be lost because of it."""

from __future__ import annotations

import json

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import SignInNeededError, Visitor, visitor
from task_queue.api.problems import ProblemError, content_of

_PROGRAMS = ("/v1", "/docs", "/mcp", "/live", "/assets")
_TYPED = ("text", "note")
"""The fields of forms into which people write."""
_BACK_TEXT = "Your browser's own way back leads to what you typed."
_NEW_FORM = "Open the page again, put in what you typed, and send it from there."
_ELSEWHERE = "Look for it on the board, or in the history."
_WHAT_TO_DO = {
    "too_large": f"Shorten the text, or add fewer files at once. {_BACK_TEXT}",
    "too_slow": f"Send it again. {_BACK_TEXT}",
    "unsupported_media_type": _NEW_FORM,
    "bad_request": _NEW_FORM,
    "not_utf8": f"Send it as UTF-8. {_BACK_TEXT}",
    "cross_site": _NEW_FORM,
    "signed_out": "Sign in in another tab, and send it again from a page that you open there.",
    "invalid_request": "Correct it, and send it again.",
    "method_not_allowed": "This address only takes forms: open the page that has it.",
    "not_found": _ELSEWHERE,
    "task_not_found": _ELSEWHERE,
    "task_elsewhere": "The page of that host has its log, its result and what can be done with it.",
    "disk_trouble": "Ask the machine what is wrong with: task-queue doctor",
    "defect": "Its log has more: task-queue logs",
}
_IN_WORDS = {
    "method_not_allowed": "there is nothing to look at at this address",
    "not_found": "there is no such page",
    "bad_request": "the form could not be read",
}
"""Where the sentence for programs names what people do not use."""
_HEADINGS = {
    "not_found": "Not found",
    "task_not_found": "Not found",
    "task_elsewhere": "On another host",
    "signed_out": "You are signed out",
}
_WAYS_BACK = (("/history/", "/history"), ("/sources/", "/workers"), ("/schedules/", "/schedules"))


def for_people(request: Request) -> bool:
    """Whether who asked looks at pages."""
    is_for_programs = request.url.path.startswith(_PROGRAMS)
    return not is_for_programs and "text/html" in request.headers.get("accept", "")


def refusal(
    request: Request, problem: ProblemError, seen: Visitor | None = None, *, typed: str = ""
) -> Response:
    """*problem* as a page. *typed*: what must not be lost; *seen*: who gets the page, where that is known."""
    return _page(request, content_of(problem), dict(problem.headers), seen, typed=typed)


async def as_page(request: Request, answer: Response) -> Response:
    """The page in place of *answer*, which is a problem."""
    try:
        seen = await visitor(request)
    except SignInNeededError:
        seen = None
    content = json.loads(bytes(answer.body))
    kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
    return _page(request, content, kept, seen, typed=await typed_in(request))


async def typed_in(request: Request) -> str:
    """What a person wrote into the form that is refused."""
    if request.method != "POST":
        return ""
    try:
        form = await request.form()
    except (HTTPException, RuntimeError):
        return ""  # it cannot be read, or was not kept
    texts = [form.get(name) for name in _TYPED]
    return "\n".join(text.replace("\r\n", "\n") for text in texts if isinstance(text, str) and text)


def _page(
    request: Request, content: dict[str, object], headers: dict[str, str], seen: Visitor | None, *, typed: str
) -> Response:
    code, path = str(content["code"]), request.url.path
    detail = _IN_WORDS.get(code, str(content["detail"]))
    answer = page(
        request,
        "refused.html",
        seen,
        status=int(str(content["status"])),
        heading=_HEADINGS.get(code, "That was not done"),
        problem=detail[:1].upper() + detail[1:],
        at=f"{request.method} {path}",
        what_to_do=_WHAT_TO_DO.get(code, ""),
        back=_way_back(path) if request.method == "POST" else "/",
        typed=typed,
    )
    answer.headers.update(headers)
    return answer


def _way_back(path: str) -> str:
    """From where a form is sent to the page that has it."""
    if path.startswith("/tasks/"):
        return "/".join(path.split("/")[:3])
    ways = (page for start, page in _WAYS_BACK if path.startswith(start))
    return next(ways, path if path == "/add" else "/")
