"""What a task consists of and left: document, result, report, diff, transcript."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow, served
from task_queue.api.paths import TaskPath
from task_queue.api.settings import ServedApi
from task_queue.api.streams import EVENT_STREAM, AcceptNow, LastEvent, Wave, stream
from task_queue.app.installation import Installation
from task_queue.app.task_diff import diff_of
from task_queue.app.task_files import TranscriptPart, file_of, transcript_part
from task_queue.app.tracking import tracked
from task_queue.domain.policy import Caller
from task_queue.domain.task import TaskId

_Responses = dict[int | str, dict[str, Any]]
router = APIRouter(prefix="/v1/tasks/{task_id}", tags=["files"])
_AT_ONCE = 2**17
_DIGITS = 12
_TEXT: dict[str, Any] = {"type": "string"}
_LINE = '{"type": "assistant", "message": {"role": "assistant", "content": []}}\n'
_RESULT = {"task_id": "task-20260207-120000-fix-login", "success": True, "outcome": "succeeded"}
_CHANGES = "diff --git a/login.py b/login.py\n--- a/login.py\n+++ b/login.py\n@@ -1 +1 @@\n-old\n+new\n"


def _file(kind: str, description: str, example: object, **headers: str) -> _Responses:
    schema = {"type": "object"} if kind == "application/json" else _TEXT
    described = {
        name.replace("_", "-"): {"description": said, "schema": _TEXT} for name, said in headers.items()
    }
    content = {kind: {"schema": schema, "example": example}}
    return {200: {"content": content, "description": description, "headers": described}}


_DOCUMENT = _file(
    "text/markdown",
    "The document as it is.",
    "# Fix the login\n\nMake the tests of login.py pass.\n",
    ETag="For `If-Match`.",
)
_REPORT = _file("text/markdown", "The report as it is.", "# task-20260207-120000-fix-login: succeeded\n")
_JSON = _file("application/json", "The result as its file has it.", _RESULT)
_PATCH = _file(
    "text/x-diff",
    "A patch, as git shows it. Its last line says so where it was cut.",
    _CHANGES,
    Base_Commit="Where the work began.",
    Tip_Commit="The last commit of the task.",
    Cut="`true` where the patch is longer than what is sent.",
)
_LINES = _file(
    "application/x-ndjson",
    "Whole lines, each a JSON object; as a stream, each line is an event.",
    _LINE,
    Next_Offset="Where what follows begins.",
    Attempt="Which attempt it is.",
)
_LINES[200]["content"][EVENT_STREAM] = {
    "schema": _TEXT,
    "example": f"id: 71\nevent: line\ndata: {_LINE}\nevent: end\ndata: 1\n\n",
}


@router.get("/document", response_class=Response, responses=_DOCUMENT)
def get_document(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> Response:
    """The Markdown document. Its ETag is what a change of it needs as If-Match."""
    task = tracked(installation, task_id, caller, kept)
    file = file_of(installation, task.id, "document")
    return Response(file.data, media_type="text/markdown", headers={"etag": f'"{file.sha256}"'})


@router.get("/report", response_class=Response, responses=_REPORT)
def get_report(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> Response:
    """The report of a task that has ended, for people."""
    task = tracked(installation, task_id, caller, kept)
    return Response(file_of(installation, task.id, "report").data, media_type="text/markdown")


@router.get("/result", response_class=Response, responses=_JSON)
def get_result(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> Response:
    """The result of a task that has ended, as its file has it."""
    task = tracked(installation, task_id, caller, kept)
    return Response(file_of(installation, task.id, "result").data, media_type="application/json")


@router.get("/diff", response_class=Response, responses=_PATCH)
def get_diff(task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow) -> Response:
    """What the commits of a task that has ended change, as a patch; 410 where the repository has them no more."""
    task = tracked(installation, task_id, caller, kept)
    diff = diff_of(installation, task.id)
    tip = {"tip-commit": diff.tip} if diff.tip else {}
    headers = {"base-commit": diff.base, **tip, "cut": str(diff.is_cut).lower()}
    return Response(diff.patch.encode(), media_type="text/x-diff", headers=headers)


@router.get("/transcript", response_class=Response, responses=_LINES)
async def get_transcript(
    *,
    request: Request,
    task_id: TaskPath,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    attempt: Annotated[
        int | None, Query(ge=1, le=10**6, description="Which attempt; the last one by default.", examples=[1])
    ] = None,
    offset: Annotated[int, Query(ge=0, le=2**40, description="From this byte on, where a line begins.")] = 0,
    limit: Annotated[int, Query(ge=1, le=2**22, description="At most this many bytes.")] = 2**18,
    accept: AcceptNow = "application/x-ndjson",
    last_event_id: LastEvent = None,
) -> Response:
    """Lines of an attempt's transcript from *offset* on; the header `Next-Offset` says where to go on.

    With `Accept: text/event-stream` each line is an event, whose id is the offset after it, and the stream stays
    open until the attempt has ended.
    """
    task = await run_in_threadpool(tracked, installation, task_id, caller, kept)
    given = last_event_id if last_event_id is not None and last_event_id.isascii() else ""
    begin = int(given[:_DIGITS]) if given.isdecimal() else offset
    part = await run_in_threadpool(
        transcript_part, installation, task.id, attempt=attempt, offset=begin, limit=limit
    )
    if EVENT_STREAM in accept:
        return _followed(served(request), installation, task.id, caller, part)
    headers = {"next-offset": str(part.end), "attempt": str(part.attempt)}
    return Response(part.data, media_type="application/x-ndjson", headers=headers)


def _followed(
    api: ServedApi, installation: Installation, task_id: TaskId, caller: Caller, first: TranscriptPart
) -> Response:
    """*first*, and what follows it."""
    waiting = [first]
    end, attempt, folders = first.end, first.attempt, first.folders

    def look() -> Wave:
        nonlocal end
        part = (
            waiting.pop()
            if waiting
            else transcript_part(installation, task_id, attempt=attempt, offset=end, limit=_AT_ONCE)
        )
        end = part.end
        if part.data or part.may_grow:
            return Wave("".join(_frames(part)), more_at_once=bool(part.data))
        return Wave(f"event: end\ndata: {attempt}\n\n", is_last=True)

    return stream(api, caller, look, close=waiting.clear, folders=lambda: folders)


def _frames(part: TranscriptPart) -> Iterator[str]:
    place = part.end - len(part.data)
    for line in part.data.splitlines(keepends=True):
        place += len(line)
        text = line.decode(errors="replace").rstrip("\r\n")
        yield f"id: {place}\nevent: line\ndata: {text}\n\n"
